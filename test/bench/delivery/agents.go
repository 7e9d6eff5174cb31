package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/certs"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/delivery"
)

// writeIdentities makes the certificate that agents have.
func writeIdentities(dir string) error {
	ca, err := certs.NewCA("bench")
	if err != nil {
		return err
	}
	pair, err := ca.Issue(certs.Request{CommonName: v1alpha1.AgentIdentity, DNSNames: []string{v1alpha1.AgentIdentity}})
	if err != nil {
		return err
	}
	tls := filepath.Join(dir, "tls")
	err = os.Mkdir(tls, 0o700)
	for file, b := range map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key, "ca.crt": ca.Cert} {
		err = errors.Join(err, os.WriteFile(filepath.Join(tls, file), b, 0o600))
	}
	return err
}

// serveCommand receives archives as the agent does.
func serveCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "serve", Hidden: true, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		config, err := client.Identity(filepath.Join(dir, "tls")).ServerTLS()
		if err != nil {
			return err
		}
		agent := &http.Server{
			Addr: targetIP + ":" + agentPort, TLSConfig: config, ReadHeaderTimeout: time.Minute,
			Handler: receiving(fcc.NewStore(filepath.Join(dir, "agent"))),
		}
		return agent.ListenAndServeTLS("", "")
	}}
	c.Flags().StringVar(&dir, "dir", "", "folder of the run")
	return c
}

// registryCommand is a registry that keeps images on the disk.
func registryCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "registry", Hidden: true, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		blobs := registry.WithBlobHandler(registry.NewDiskBlobHandler(filepath.Join(dir, "registry")))
		images := &http.Server{Addr: targetIP + ":" + registryPort, Handler: registry.New(blobs), ReadHeaderTimeout: time.Minute}
		return images.ListenAndServe()
	}}
	c.Flags().StringVar(&dir, "dir", "", "folder of the run")
	return c
}

// receiving is the agent's handler of archives, with a ticket for whoever comes.
func receiving(tickets *fcc.Store) http.Handler {
	receiver := &delivery.Receiver{Tickets: tickets}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		migration, pod := r.Header.Get(delivery.HeaderMigration), filepath.Base(r.URL.Path)
		bytes, _ := strconv.ParseInt(r.Header.Get(delivery.HeaderBytes), 10, 64)
		_, err := tickets.Put(migration, pod, "app")
		if err == nil {
			_, err = receiver.Receive(delivery.Incoming{
				Migration: migration, PodUID: pod, Container: "app", Bytes: bytes, Body: r.Body,
				Digest: func() string { return r.Trailer.Get(delivery.TrailerDigest) },
			})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	})
}

// sendCommand sends an archive as the agent does, and prints the most memory that it had.
func sendCommand() *cobra.Command {
	var dir, file, pod string
	c := &cobra.Command{Use: "send", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		config, err := client.Identity(filepath.Join(dir, "tls")).ClientTLS()
		if err != nil {
			return err
		}
		sender := &delivery.Sender{HTTP: client.NewHTTP(config)}
		if _, _, err := sender.Send(c.Context(), "https://"+targetIP+":"+agentPort+"/"+pod, "bench", file); err != nil {
			return err
		}
		peak, err := peakMemory("self")
		fmt.Println(peak)
		return err
	}}
	c.Flags().StringVar(&dir, "dir", "", "folder of the run")
	c.Flags().StringVar(&file, "file", "", "archive")
	c.Flags().StringVar(&pod, "pod", "", "UID of the target pod")
	return c
}

// peakMemory of a process, in MiB.
func peakMemory(process string) (float64, error) {
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kibibytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kibibytes / 1024, err
		}
	}
	return 0, fmt.Errorf("reading memory of process %s: no VmHWM", process)
}
