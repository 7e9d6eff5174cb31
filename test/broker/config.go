package broker

import (
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"ms2m.dev/ms2m-descheduler/pkg/certs"
)

// Parts of a broker's folder.
const (
	logFile      = "log"
	pluginsFile  = "enabled_plugins"
	dataFolder   = "data"
	configFolder = "config"
)

// user owns the broker's data, as in the cluster.
const user = 10672

//go:embed definitions.json
var definitions []byte

const settings = `listeners.tcp.1 = %s
load_definitions = /etc/rabbitmq/definitions.json
log.console = true
log.console.level = info
# The broker sees the whole machine's memory and disk.
vm_memory_high_watermark.absolute = %d
disk_free_limit.absolute = 100MB
`

const tlsSettings = `listeners.ssl.1 = %s
ssl_options.cacertfile = /etc/rabbitmq/ca.pem
ssl_options.certfile = /etc/rabbitmq/cert.pem
ssl_options.keyfile = /etc/rabbitmq/key.pem
`

const clientSettings = `ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
auth_mechanisms.3 = EXTERNAL
ssl_cert_login_from = common_name
`

// clientPlugins let certificates log in.
const clientPlugins = "[rabbitmq_auth_mechanism_ssl]."

// configure writes the broker's folder.
func (b *Broker) configure(o Options) error {
	if err := b.choosePorts(); err != nil {
		return fmt.Errorf("choosing the ports of RabbitMQ: %w", err)
	}
	data := filepath.Join(b.folder, dataFolder)
	err := errors.Join(os.Chmod(b.folder, 0o755), os.Mkdir(data, 0o755), os.Chown(data, user, user),
		os.Mkdir(filepath.Join(b.folder, configFolder), 0o755))
	config := fmt.Sprintf(settings, b.listener(b.ports.amqp), memoryLimit)
	if o.TLS {
		config += fmt.Sprintf(tlsSettings, b.listener(b.ports.amqps))
		err = errors.Join(err, b.makeCertificates(o))
	}
	if o.ClientCertificates {
		config += clientSettings
		err = errors.Join(err, b.makeClient(), os.WriteFile(filepath.Join(data, pluginsFile), []byte(clientPlugins), 0o644))
	}
	return errors.Join(err, b.write("rabbitmq.conf", []byte(config)), b.write("definitions.json", definitions))
}

func (b *Broker) listener(port int) string { return fmt.Sprintf("%s:%d", b.address, port) }

func (b *Broker) write(name string, content []byte) error {
	return os.WriteFile(filepath.Join(b.folder, configFolder, name), content, 0o644)
}

func (b *Broker) makeCertificates(o Options) error {
	ca, err := certs.NewCA("RabbitMQ under test")
	if err != nil {
		return err
	}
	request := certs.Request{CommonName: "rabbitmq", DNSNames: []string{"localhost"}, IPs: []net.IP{b.address.AsSlice()}}
	if o.Certificate != nil {
		request = *o.Certificate
	}
	pair, err := ca.Issue(request)
	if err != nil {
		return err
	}
	b.authority = ca
	return errors.Join(b.write("ca.pem", ca.Cert), b.write("cert.pem", pair.Cert), b.write("key.pem", pair.Key))
}

func (b *Broker) makeClient() error {
	pair, err := b.Issue(certs.Request{CommonName: Admin})
	if err != nil {
		return err
	}
	client, err := tls.X509KeyPair(pair.Cert, pair.Key)
	b.client = &client
	return err
}

// environment of the broker's processes.
func (b *Broker) environment() []string {
	return []string{
		"PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/var/lib/rabbitmq", "LANG=C.UTF-8",
		// A name with an IP needs no name service. The node is found by nobody but itself.
		"RABBITMQ_NODENAME=rabbit@127.0.0.1", "RABBITMQ_USE_LONGNAME=true",
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + strconv.Itoa(b.ports.epmd),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(b.ports.distribution),
		"RABBITMQ_CONFIG_FILE=/etc/rabbitmq/rabbitmq.conf",
		"RABBITMQ_ENABLED_PLUGINS_FILE=/var/lib/rabbitmq/enabled_plugins",
		"RABBITMQ_LOGS=-",
		// Erlang's schedulers would otherwise spin while they wait.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
	}
}

func (b *Broker) choosePorts() error {
	localhost := netip.MustParseAddr("127.0.0.1")
	p := &b.ports
	for port, address := range map[*int]netip.Addr{
		&p.amqp: b.address, &p.amqps: b.address, &p.epmd: localhost, &p.distribution: localhost,
	} {
		var err error
		if *port, err = freePort(address); err != nil {
			return err
		}
	}
	return nil
}

// freePort is below those that the kernel gives to outgoing connections, which could take it before the broker does.
func freePort(address netip.Addr) (int, error) {
	var err error
	for range 100 {
		port := 10000 + rand.IntN(20000)
		var ln net.Listener
		if ln, err = net.Listen("tcp", netip.AddrPortFrom(address, uint16(port)).String()); err == nil {
			return port, ln.Close()
		}
	}
	return 0, err
}
