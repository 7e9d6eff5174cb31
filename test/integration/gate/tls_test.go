//go:build integration

package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/certs"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	rabbitmq "ms2m.dev/ms2m-descheduler/test/broker"
)

func startTLSBroker(t *testing.T, o rabbitmq.Options) *rabbitmq.Broker {
	t.Helper()
	o.TLS = true
	b, err := rabbitmq.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Stop(context.WithoutCancel(t.Context()))) })
	return b
}

// secret is a folder of files as the kubelet mounts a Secret: a new version comes to be at once.
type secret struct {
	t      *testing.T
	folder string
}

func newSecret(t *testing.T, files map[string][]byte) *secret {
	s := &secret{t: t, folder: t.TempDir()}
	s.become(files)
	for name := range files {
		require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(s.folder, name)))
	}
	return s
}

func (s *secret) become(files map[string][]byte) {
	s.t.Helper()
	version, err := os.MkdirTemp(s.folder, "..version")
	require.NoError(s.t, err)
	for name, content := range files {
		require.NoError(s.t, os.WriteFile(filepath.Join(version, name), content, 0o600))
	}
	link := filepath.Join(s.folder, "..data")
	require.NoError(s.t, os.Symlink(filepath.Base(version), link+".new"))
	require.NoError(s.t, os.Rename(link+".new", link))
}

// tlsFiles of a gate: the authority, and the certificate of a user if one is named.
func tlsFiles(t *testing.T, b *rabbitmq.Broker, user string) map[string][]byte {
	t.Helper()
	ca, _ := b.TLS()
	files := map[string][]byte{"ca.crt": ca}
	if user != "" {
		pair, err := b.Issue(certs.Request{CommonName: user})
		require.NoError(t, err)
		files["tls.crt"], files["tls.key"] = pair.Cert, pair.Key
	}
	return files
}

// tlsSite is a broker that gates reach over TLS only, and the test without.
func tlsSite(b *rabbitmq.Broker, s *secret) site {
	return site{uri: b.URI(rabbitmq.Admin), logURI: b.TLSURI(rabbitmq.Log), tlsURI: b.TLSURI(rabbitmq.Admin), tlsFolder: s.folder}
}

// TestMigrationOverTLS: the app speaks plain AMQP, all that leaves the pod is TLS.
func TestMigrationOverTLS(t *testing.T) {
	t.Parallel()
	for _, o := range []rabbitmq.Options{{}, {ClientCertificates: true}} {
		b := startTLSBroker(t, o)
		user := ""
		if o.ClientCertificates {
			user = rabbitmq.Admin
		}
		s := tlsSite(b, newSecret(t, tlsFiles(t, b, user))).newScene(t, nil)
		handedOver(s)
		s.commit()
		applied(t, s.moved, 10)
		s.stop()
		requireExact(t, s.p, s.moved)
	}
}

// TestLargeMessagesOverTLS: nothing is lost or mixed up where records of TLS and frames of AMQP do not coincide.
func TestLargeMessagesOverTLS(t *testing.T) {
	t.Parallel()
	b := startTLSBroker(t, rabbitmq.Options{})
	s := tlsSite(b, newSecret(t, tlsFiles(t, b, ""))).newScene(t, nil)
	s.stop()
	eventually(t, "all applied", func() bool { return s.app.snapshot().Last == s.p.want.Last })
	s.p.size = 1 << 20
	s.stop = s.p.background(20)
	s.move()
	s.stop()
	eventually(t, "all applied", func() bool { return s.app.snapshot().Last == s.p.want.Last })
	require.Equal(t, s.p.want, s.app.snapshot())
}

// TestSASLPasses: the app's mechanism is the one that the broker sees; EXTERNAL is the certificate's, which is the gate's.
func TestSASLPasses(t *testing.T) {
	t.Parallel()
	b := startTLSBroker(t, rabbitmq.Options{ClientCertificates: true})
	files := newSecret(t, tlsFiles(t, b, rabbitmq.App))
	g := tlsSite(b, files).startGate(t, "open")
	// mayTouchLogs tells the users apart.
	mayTouchLogs := func(auth amqp091.Authentication) bool {
		conn, err := amqp091.DialConfig(g.uri(), amqp091.Config{SASL: []amqp091.Authentication{auth}})
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		ch, err := conn.Channel()
		require.NoError(t, err)
		_, err = ch.QueueDeclare("ms2m.test", false, true, true, false, nil)
		return err == nil
	}
	require.True(t, mayTouchLogs(&amqp091.PlainAuth{Username: rabbitmq.Admin, Password: rabbitmq.Admin}))
	require.False(t, mayTouchLogs(&amqp091.PlainAuth{Username: rabbitmq.App, Password: rabbitmq.App}))
	require.True(t, mayTouchLogs(&amqp091.AMQPlainAuth{Username: rabbitmq.Admin, Password: rabbitmq.Admin}))
	require.False(t, mayTouchLogs(&amqp091.ExternalAuth{}))

	_, err := amqp091.DialConfig(g.uri(), amqp091.Config{SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "app", Password: "wrong"}}})
	require.ErrorContains(t, err, "403", "a wrong password is the broker's to refuse")

	files.become(tlsFiles(t, b, rabbitmq.Admin))
	require.True(t, mayTouchLogs(&amqp091.ExternalAuth{}), "a renewed certificate is used for the next connection")
}

// tlsTrouble is a way to get TLS wrong, and what the gate says then.
type tlsTrouble struct {
	// files change those that are right.
	files func(t *testing.T, files map[string][]byte)
	args  []string
	says  string
}

func otherAuthority(t *testing.T) *certs.CA {
	t.Helper()
	ca, err := certs.NewCA("stranger")
	require.NoError(t, err)
	return ca
}

var serverTroubles = map[string]tlsTrouble{
	"another authority": {files: func(t *testing.T, files map[string][]byte) { files["ca.crt"] = otherAuthority(t).Cert },
		says: "put the authority of the broker into the Secret of annotation ms2m.dev/broker-tls"},
	"another name": {args: []string{"--tls-name", "rabbitmq.example"},
		says: "the broker's certificate is for localhost, 127.0.0.1, not for rabbitmq.example: write the broker's name in annotation ms2m.dev/broker-tls-name"},
	"no authority": {files: func(_ *testing.T, files map[string][]byte) { delete(files, "ca.crt") },
		says: "there is no ca.crt in the Secret of annotation ms2m.dev/broker-tls"},
	"not PEM": {files: func(_ *testing.T, files map[string][]byte) { files["ca.crt"] = []byte("authority") },
		says: "ca.crt in the Secret of annotation ms2m.dev/broker-tls is no certificate in PEM"},
	"another key": {files: func(t *testing.T, files map[string][]byte) {
		one, other := tlsPair(t, otherAuthority(t)), tlsPair(t, otherAuthority(t))
		files["tls.crt"], files["tls.key"] = one.Cert, other.Key
	}, says: "tls.crt and tls.key in the Secret of annotation ms2m.dev/broker-tls do not go together"},
}

var clientTroubles = map[string]tlsTrouble{
	"no certificate": {files: func(_ *testing.T, files map[string][]byte) {
		delete(files, "tls.crt")
		delete(files, "tls.key")
	}, says: "the broker wants a certificate of its clients: put tls.crt and tls.key into the Secret of annotation ms2m.dev/broker-tls"},
	"a stranger's certificate": {files: func(t *testing.T, files map[string][]byte) {
		pair := tlsPair(t, otherAuthority(t))
		files["tls.crt"], files["tls.key"] = pair.Cert, pair.Key
	}, says: "the broker does not accept the gate's certificate: put tls.crt and tls.key of an authority that it trusts"},
}

func tlsPair(t *testing.T, ca *certs.CA) certs.Pair {
	t.Helper()
	pair, err := ca.Issue(certs.Request{CommonName: rabbitmq.App})
	require.NoError(t, err)
	return pair
}

// requireTrouble: the app gets no connection, the status says why, the log's connection says the same, and once it is
// right the same gate lets the app through.
func (x tlsTrouble) requireTrouble(t *testing.T, b *rabbitmq.Broker, user string) {
	t.Helper()
	right := tlsFiles(t, b, user)
	wrong := tlsFiles(t, b, user)
	if x.files != nil {
		x.files(t, wrong)
	}
	files := newSecret(t, map[string][]byte{"ca.crt": nil, "tls.crt": nil, "tls.key": nil})
	files.become(wrong)
	g := tlsSite(b, files).startGate(t, "open", x.args...)
	_, err := amqp091.Dial(g.uri())
	require.Error(t, err)
	eventually(t, "trouble", func() bool { return g.status().Trouble != "" })
	require.Contains(t, g.status().Trouble, x.says)

	// The log's connection is made for an app that has one: here the gate itself has none, so that only its own is asked.
	if x.files == nil {
		return
	}
	files.become(right)
	ch := through(t, g)
	require.Empty(t, g.status().Trouble)
	_, err = ch.Consume(tlsSite(b, files).queue(t, "in"), "", false, false, false, false, nil)
	require.NoError(t, err)
	files.become(wrong)
	_, err = g.Hold(context.Background(), control.HoldRequest{Command: control.Command{Migration: "m"}, DrainMillis: 1000, ValidMillis: 1000, Log: "ms2m.replay.tls"})
	requireReason(t, control.ReasonBroker, err)
	require.Contains(t, err.Error(), x.says)
}

func TestTLSTrouble(t *testing.T) {
	t.Parallel()
	b := startTLSBroker(t, rabbitmq.Options{})
	for name, x := range serverTroubles {
		t.Run(name, func(t *testing.T) { x.requireTrouble(t, b, "") })
	}
	t.Run("expired", func(t *testing.T) {
		request := certs.Request{CommonName: "rabbitmq", DNSNames: []string{"localhost"}, Lifetime: -time.Minute}
		expired := startTLSBroker(t, rabbitmq.Options{Certificate: &request})
		tlsTrouble{args: []string{"--tls-name", "localhost"}, says: "renew it at the broker"}.requireTrouble(t, expired, "")
	})
	t.Run("not a port of TLS", func(t *testing.T) {
		at := tlsSite(b, newSecret(t, tlsFiles(t, b, "")))
		at.tlsURI = at.uri
		g := at.startGate(t, "open")
		_, err := amqp091.Dial(g.uri())
		require.Error(t, err)
		eventually(t, "trouble", func() bool { return g.status().Trouble != "" })
		require.Contains(t, g.status().Trouble, "what listens there does not speak TLS: write the broker's TLS port in annotation ms2m.dev/broker-tls-port")
	})
	t.Run("amqps without an authority", func(t *testing.T) {
		at := siteOf(b)
		at.logURI = b.TLSURI(rabbitmq.Log)
		g := at.startGate(t, "open")
		_, err := through(t, g).Consume(at.queue(t, "in"), "", false, false, false, false, nil)
		require.NoError(t, err)
		_, err = g.Hold(context.Background(), control.HoldRequest{Command: control.Command{Migration: "m"}, DrainMillis: 1000, ValidMillis: 1000, Log: "ms2m.replay.tls"})
		requireReason(t, control.ReasonBroker, err)
		require.ErrorContains(t, err, "name a Secret with ca.crt in annotation ms2m.dev/broker-tls")
	})
}

func TestTLSClientTrouble(t *testing.T) {
	t.Parallel()
	b := startTLSBroker(t, rabbitmq.Options{ClientCertificates: true})
	for name, x := range clientTroubles {
		t.Run(name, func(t *testing.T) { x.requireTrouble(t, b, rabbitmq.App) })
	}
}

// TestAppSpeaksTLSItself: it works as without a gate, and cannot be migrated.
func TestAppSpeaksTLSItself(t *testing.T) {
	t.Parallel()
	b := startTLSBroker(t, rabbitmq.Options{})
	at := siteOf(b)
	s := at.newScene(t, nil) // an ordinary app, that is to have a second connection
	at.tlsURI = b.TLSURI(rabbitmq.Admin)
	ca, uri := b.TLS()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	require.True(t, config.RootCAs.AppendCertsFromPEM(ca))
	sealed := func(g *gateProcess) (*amqp091.Connection, error) {
		u, err := url.Parse(withHost(t, uri, g.listen))
		require.NoError(t, err)
		return amqp091.DialConfig(u.String(), amqp091.Config{TLSClientConfig: config})
	}

	g := at.startGate(t, "open")
	conn, err := sealed(g)
	require.NoError(t, err)
	ch, err := conn.Channel()
	require.NoError(t, err)
	_, err = ch.QueueDeclare("", false, true, true, false, nil)
	require.NoError(t, err)
	require.Len(t, g.status().Refusals, 1)
	require.Contains(t, g.status().Refusals[0], "let it speak plain AMQP")
	_, err = g.Hold(context.Background(), control.HoldRequest{Command: control.Command{Migration: "m"}, DrainMillis: 1000, ValidMillis: 1000})
	requireReason(t, control.ReasonRefused, err)
	require.NoError(t, conn.Close())
	eventually(t, "the connection is gone", func() bool { return len(g.status().Refusals) == 0 && g.status().Connections == 0 })

	s.hold()
	_, err = sealed(s.source)
	require.Error(t, err)
	eventually(t, "broken", func() bool { return s.source.status().Broken != "" })
	requireReason(t, control.ReasonBroken, s.source.Release(context.Background(), control.ReleaseRequest{Command: s.command(), Token: s.cut.Token, Log: s.log}))
	s.resume()
	s.exact()
}
