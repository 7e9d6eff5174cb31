// Package broker runs a real RabbitMQ 4 on this machine, without Kubernetes: that of the cluster's image, with the same
// users. It needs root. Nothing of it outlives the process that started it but its folder of temporary data.
package broker

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"ms2m.dev/ms2m-descheduler/pkg/certs"
	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

// Users; passwords are the names. See definitions.json.
const (
	Admin = "admin"
	// App may do everything but touch the migration logs.
	App = "app"
	// Log may touch nothing else.
	Log = "ms2m"
)

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = 30 * time.Second
)

// Options of a broker.
type Options struct {
	// TLS adds a listener with a certificate of a throw-away authority, valid for the address and "localhost".
	TLS bool
	// Address to listen on, an IP of this machine. Default 127.0.0.1.
	Address string
	// Certificate of the listener with TLS, if another than the usual one.
	Certificate *certs.Request
	// ClientCertificates are demanded on the listener with TLS, issued by its authority. SASL EXTERNAL takes the common
	// name for the user. Needs TLS.
	ClientCertificates bool
}

// Broker is a RabbitMQ of one node.
type Broker struct {
	root, folder string
	address      netip.Addr
	ports        ports
	authority    *certs.CA
	// client is the broker's own certificate as a client, nil if none is demanded.
	client  *tls.Certificate
	process *process
}

// ports stay the same over restarts.
type ports struct{ amqp, amqps, epmd, distribution int }

// Start a broker, and wait until it accepts connections.
func Start(ctx context.Context, o Options) (_ *Broker, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("starting RabbitMQ: it runs in namespaces of its own; run this as root, with sudo for example")
	}
	b := &Broker{}
	if b.address, err = netip.ParseAddr(cmp.Or(o.Address, "127.0.0.1")); err != nil {
		return nil, fmt.Errorf("starting RabbitMQ: %w", err)
	}
	cache, err := build.DefaultCache()
	if err != nil {
		return nil, err
	}
	if b.root, err = build.RabbitMQRoot(ctx, cache, build.NewProgress(os.Stderr)); err != nil {
		return nil, err
	}
	if b.folder, err = os.MkdirTemp("", "ms2m-rabbitmq"); err != nil {
		return nil, err
	}
	if err := b.configure(o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.folder))
	}
	if err := b.run(ctx); err != nil {
		return nil, errors.Join(err, b.Stop(context.WithoutCancel(ctx)))
	}
	return b, nil
}

// URI of the broker for a user.
func (b *Broker) URI(user string) string { return b.uri("amqp", user, b.ports.amqp) }

// TLS returns the authority of the broker's certificate, PEM, and the URI for App. See TLSURI for other users.
func (b *Broker) TLS() (ca []byte, uri string) { return b.authority.Cert, b.TLSURI(App) }

// Issue a certificate of the authority that the broker trusts.
func (b *Broker) Issue(r certs.Request) (certs.Pair, error) { return b.authority.Issue(r) }

// TLSURI is the URI of the listener with TLS for a user.
func (b *Broker) TLSURI(user string) string { return b.uri("amqps", user, b.ports.amqps) }

func (b *Broker) uri(scheme, user string, port int) string {
	host := net.JoinHostPort(b.address.String(), strconv.Itoa(port))
	return (&url.URL{Scheme: scheme, User: url.UserPassword(user, user), Host: host, Path: "/"}).String()
}

// Restart stops the broker as its operator would, if it runs, and starts it with the same data on the same ports.
func (b *Broker) Restart(ctx context.Context) error {
	if err := b.shutDown(ctx); err != nil {
		return err
	}
	return b.run(ctx)
}

// Kill it as a crash does. Restart starts it again.
func (b *Broker) Kill() { b.process.kill() }

// Freeze stops all its processes: connections stay, nothing answers.
func (b *Broker) Freeze() error { return b.process.freeze() }

// Thaw lets a frozen broker go on.
func (b *Broker) Thaw() error { return b.process.thaw() }

// Stop the broker, and delete its data.
func (b *Broker) Stop(ctx context.Context) error {
	return errors.Join(b.shutDown(ctx), os.RemoveAll(b.folder))
}

func (b *Broker) shutDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := b.process.terminate(ctx); err != nil {
		return fmt.Errorf("stopping RabbitMQ: %w", err)
	}
	return nil
}

func (b *Broker) run(ctx context.Context) (err error) {
	if b.process, err = start(b.root, b.folder, b.environment()); err != nil {
		return fmt.Errorf("starting RabbitMQ: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := b.awaitReady(ctx); err != nil {
		return fmt.Errorf("waiting for RabbitMQ: %w\n%s", err, b.logTail())
	}
	return nil
}

// awaitReady connects to the listener that comes last until the broker lets it in.
func (b *Broker) awaitReady(ctx context.Context) error {
	uri, config := b.URI(Admin), amqp091.Config{}
	if b.authority != nil {
		// That it listens is all that is asked: the certificate may be meant to be a bad one.
		uri, config.TLSClientConfig = b.TLSURI(Admin), &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
		if b.client != nil {
			config.TLSClientConfig.Certificates = []tls.Certificate{*b.client}
		}
	}
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := amqp091.DialConfig(uri, config)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-b.process.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-retry.C:
		}
	}
}

func (b *Broker) logTail() []byte {
	const shown = 4 << 10
	log, err := os.ReadFile(filepath.Join(b.folder, logFile))
	if err != nil {
		return []byte(err.Error())
	}
	return log[max(0, len(log)-shown):]
}
