package cluster

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
	"ms2m.dev/ms2m-descheduler/test/cluster/node"
)

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "templates/*"))

// criuOptions are runc's: connections of a dumped process are closed, since a restored pod has another address.
const criuOptions = "tcp-close\nskip-in-flight\n"

// render fills the configuration of a node in, by its path in the node.
func render(n Node) (map[string][]byte, error) {
	values := map[string]string{
		"PauseImage": build.PauseImage, "ClusterDNS": clusterDNS, "ClusterDomain": clusterDomain, "PodSubnet": n.podSubnet(),
	}
	files := map[string][]byte{"etc/criu/runc.conf": []byte(criuOptions)}
	for path, name := range map[string]string{
		"etc/containerd/config.toml":       "containerd.toml",
		"etc/kubernetes/kubelet.yaml":      "kubelet.yaml",
		"etc/cni/net.d/10-bridge.conflist": "cni.conflist",
	} {
		var out bytes.Buffer
		if err := templates.ExecuteTemplate(&out, name, values); err != nil {
			return nil, fmt.Errorf("rendering %s: %w", name, err)
		}
		files[path] = out.Bytes()
	}
	return files, nil
}

// services are the node's programs in the order of their start.
func services(n Node) []node.Service {
	return []node.Service{
		{Name: "containerd", Argv: []string{"containerd"}},
		{Name: "kubelet", AfterAPI: true, Argv: []string{"kubelet", "--config=/etc/kubernetes/kubelet.yaml",
			"--kubeconfig=/etc/kubernetes/kubelet.kubeconfig", "--hostname-override=" + n.Name, "--node-ip=" + n.IP(), "--v=2"}},
		{Name: "kube-proxy", AfterAPI: true, Argv: []string{"kube-proxy", "--kubeconfig=/etc/kubernetes/proxy.kubeconfig",
			"--proxy-mode=nftables", "--hostname-override=" + n.Name, "--cluster-cidr=" + podNetwork,
			"--conntrack-max-per-core=0"}}, // the limit is the host's
	}
}

func (c *Cluster) nodeDir(n Node) string { return filepath.Join(c.dir, "nodes", n.Name) }
func (c *Cluster) specPath(name string) string {
	return filepath.Join(c.dir, "nodes", name, "spec.json")
}
func (c *Cluster) containerdOf(p process) string {
	return fmt.Sprintf("/proc/%d/root%s", p.PID, node.Containerd)
}

// writeNode lays out the node's folders, its configuration, credentials and spec.
func (c *Cluster) writeNode(n Node, s state) error {
	dir := c.nodeDir(n)
	spec := node.Spec{
		Name: n.Name, Root: s.NodeRoot,
		Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), Mount: filepath.Join(dir, "root"),
		Binds: map[string]string{
			"/opt/bin": filepath.Join(c.dir, "bin"),
			"/var/log": filepath.Join(c.dir, "logs", n.Name),
		},
		Address: n.IP() + "/24", Gateway: gateway, APIServer: apiServer, Services: services(n),
	}
	// Overlays cannot lie on an overlay, nor should what the runtime and the kubelet write.
	for _, folder := range []string{"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/ms2m"} {
		spec.Binds[folder] = filepath.Join(dir, filepath.Base(folder))
	}
	for _, folder := range append([]string{spec.Upper, spec.Work, spec.Mount}, mapValues(spec.Binds)...) {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("making the folders of %s: %w", n.Name, err)
		}
	}
	var err error
	if spec.Cgroups, err = makeCgroups(n.Name); err != nil {
		return err
	}
	content, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(c.specPath(n.Name), content, 0o600), c.writeNodeFiles(n, spec.Upper))
}

func mapValues(m map[string]string) []string {
	var values []string
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

func (c *Cluster) writeNodeFiles(n Node, upper string) error {
	files, err := render(n)
	if err != nil {
		return err
	}
	if err := c.issueNode(n.Name); err != nil {
		return err
	}
	for path, source := range map[string]string{
		"etc/kubernetes/ca.crt":             c.pki("ca.crt"),
		"etc/kubernetes/kubelet.kubeconfig": c.pki(n.Name + ".kubeconfig"),
		"etc/kubernetes/proxy.kubeconfig":   c.pki("proxy.kubeconfig"),
	} {
		if files[path], err = os.ReadFile(source); err != nil {
			return fmt.Errorf("configuring %s: %w", n.Name, err)
		}
	}
	for path, content := range files {
		target := filepath.Join(upper, path)
		if _, err := os.Stat(target); err == nil {
			continue // a node that comes back finds its disk as it was
		}
		err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, content, 0o600))
		if err != nil {
			return fmt.Errorf("configuring %s: %w", n.Name, err)
		}
	}
	return nil
}
