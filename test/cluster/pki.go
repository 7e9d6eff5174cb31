package cluster

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"ms2m.dev/ms2m-descheduler/pkg/certs"
)

var (
	serverUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	clientUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
)

// identities are the control plane's certificates: file name and what it is for. Kubernetes takes a client's common
// name for the user and its organisations for groups.
func identities() map[string]certs.Request {
	return map[string]certs.Request{
		"apiserver": {
			CommonName: "kube-apiserver", Usages: serverUsage,
			DNSNames: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + clusterDomain},
			IPs:      []net.IP{net.ParseIP(gateway), net.ParseIP(apiServiceIP)},
		},
		"apiserver-kubelet-client": {CommonName: "kube-apiserver-kubelet-client", Usages: clientUsage},
		"etcd":                     {CommonName: "etcd", IPs: []net.IP{net.ParseIP(gateway)}},
		"admin":                    {CommonName: "admin", Organizations: []string{"system:masters"}, Usages: clientUsage},
		"controller-manager":       {CommonName: "system:kube-controller-manager", Usages: clientUsage},
		"scheduler":                {CommonName: "system:kube-scheduler", Usages: clientUsage},
		"proxy":                    {CommonName: "system:kube-proxy", Usages: clientUsage},
	}
}

// withKubeconfig are those identities that speak to the API server with a kubeconfig.
var withKubeconfig = []string{"admin", "controller-manager", "scheduler", "proxy"}

func (c *Cluster) pki(file string) string { return filepath.Join(c.dir, "pki", file) }

// makePKI makes the cluster's authority and everybody's certificates. The authority of the front proxy is another one:
// who has its certificates may claim to be anybody.
func (c *Cluster) makePKI() error {
	ca, err := certs.NewCA("kubernetes")
	if err != nil {
		return err
	}
	frontProxy, err := certs.NewCA("front-proxy")
	if err != nil {
		return err
	}
	client, err := frontProxy.Issue(certs.Request{CommonName: "front-proxy-client", Usages: clientUsage})
	if err != nil {
		return err
	}
	// Service accounts only need the key of this pair.
	accounts, err := certs.NewCA("service-accounts")
	if err != nil {
		return err
	}
	errs := []error{c.writePair("ca", ca.Pair), c.writePair("front-proxy-ca", frontProxy.Pair),
		c.writePair("front-proxy-client", client), c.writePair("service-accounts", accounts.Pair)}
	for name, request := range identities() {
		pair, err := ca.Issue(request)
		errs = append(errs, err, c.writePair(name, pair))
	}
	for _, name := range withKubeconfig {
		errs = append(errs, c.writeKubeconfig(name))
	}
	errs = append(errs, os.Rename(c.pki("admin.kubeconfig"), c.Kubeconfig()))
	return errors.Join(errs...)
}

func (c *Cluster) writePair(name string, pair certs.Pair) error {
	return errors.Join(
		os.WriteFile(c.pki(name+".crt"), pair.Cert, 0o644),
		os.WriteFile(c.pki(name+".key"), pair.Key, 0o600))
}

// writeKubeconfig makes NAME.kubeconfig, which holds the identity's certificate and key.
func (c *Cluster) writeKubeconfig(name string) error {
	var contents [3][]byte
	for i, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		content, err := os.ReadFile(c.pki(file))
		if err != nil {
			return fmt.Errorf("writing the kubeconfig of %s: %w", name, err)
		}
		contents[i] = content
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["ms2m"] = &clientcmdapi.Cluster{Server: "https://" + apiServer, CertificateAuthorityData: contents[0]}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: contents[1], ClientKeyData: contents[2]}
	config.Contexts["ms2m"] = &clientcmdapi.Context{Cluster: "ms2m", AuthInfo: name}
	config.CurrentContext = "ms2m"
	return clientcmd.WriteToFile(*config, c.pki(name+".kubeconfig"))
}

// authority of the cluster.
func (c *Cluster) authority() (*certs.CA, error) {
	cert, err := os.ReadFile(c.pki("ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	key, err := os.ReadFile(c.pki("ca.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	return certs.LoadCA(cert, key)
}

// issueNode makes the identity of a node's kubelet, which the Node authorizer limits to the node's own objects.
func (c *Cluster) issueNode(name string) error {
	ca, err := c.authority()
	if err != nil {
		return err
	}
	pair, err := ca.Issue(certs.Request{CommonName: "system:node:" + name, Organizations: []string{"system:nodes"}, Usages: clientUsage})
	if err != nil {
		return err
	}
	return errors.Join(c.writePair(name, pair), c.writeKubeconfig(name))
}
