package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// kubernetesVersion is what the binaries say they are; modules/kubernetes/go.mod decides what they are.
const kubernetesVersion = "v1.36.3"

// program is one binary from one of the pinned modules.
type program struct {
	name, module, path string
	tags               string
	ldflags            string
	cgo                bool
}

// programs are in the order of their use of each other's build results.
func programs() []program {
	var all []program
	stamp := "-X k8s.io/component-base/version."
	kube := stamp + "gitVersion=" + kubernetesVersion + " " + stamp + "gitMajor=1 " + stamp + "gitMinor=36"
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"} {
		all = append(all, program{name: name, module: "kubernetes", path: "k8s.io/kubernetes/cmd/" + name, ldflags: kube, cgo: true})
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		all = append(all, program{
			name: name, module: "containerd", path: "github.com/containerd/containerd/v2/cmd/" + name,
			tags: "no_btrfs no_zfs no_aufs no_devmapper",
		})
	}
	return append(all,
		program{name: "etcd", module: "etcd", path: "go.etcd.io/etcd/server/v3"},
		// Without the tag runc refuses pods that ask for a seccomp profile.
		program{name: "runc", module: "runc", path: "github.com/opencontainers/runc", tags: "seccomp", cgo: true},
		program{name: "coredns", module: "coredns", path: "."},
	)
}

func (p program) artifact(modules string) (Artifact, error) {
	dir := filepath.Join(modules, p.module)
	sources, err := HashFolder(dir)
	if err != nil {
		return Artifact{}, err
	}
	return Artifact{
		Name: p.name,
		Key:  Hash(sources, p.path, p.tags, p.ldflags, fmt.Sprint(p.cgo), runtime.Version(), runtime.GOARCH),
		Make: func(ctx context.Context, dst string) error {
			return command{dir: dir, env: []string{"CGO_ENABLED=" + cgoEnv(p.cgo), "GOWORK=off"}}.run(ctx, "nice", "go", "build",
				"-buildvcs=false", "-tags", p.tags, "-ldflags", strings.TrimSpace("-s -w "+p.ldflags), "-o", dst, p.path)
		},
	}, nil
}

func cgoEnv(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// GoBuild builds a package of this project, statically, to dst. The Go cache makes a build without changes quick.
func GoBuild(ctx context.Context, root, pkg, dst string) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	return command{dir: root, env: []string{"CGO_ENABLED=0"}}.run(ctx, "nice", "go", "build",
		"-buildvcs=false", "-ldflags", "-s -w", "-o", dst, pkg)
}
