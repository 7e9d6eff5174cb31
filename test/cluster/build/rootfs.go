package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Debian releases: the nodes and RabbitMQ are the stable one; CRIU for current kernels (4.2 and later) is newer.
const (
	debianSuite = "trixie"
	criuSuite   = "forky"
)

var (
	nodePackages = []string{"containernetworking-plugins", "nftables", "iptables", "iproute2", "procps", "ca-certificates",
		"libseccomp2", "kmod", "conntrack"}
	// stripped is what no program needs at run time.
	stripped = []string{"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
		"var/cache/apt", "var/lib/apt/lists", "var/log"}
)

// debianEnv lets packages ask nothing, and dpkg not wait for the disk: an unfinished root is never used.
var debianEnv = []string{"DEBIAN_FRONTEND=noninteractive", "DPKG_FORCE=unsafe-io"}

// nodeRoot is the root file system that the nodes share, read-only, below a layer of their own.
func nodeRoot() Artifact {
	return Artifact{
		Name: "node-root",
		Key:  Hash(append([]string{debianSuite, criuSuite, "criu"}, nodePackages...)...),
		Make: func(ctx context.Context, dst string) error {
			mirror, err := Mirror(ctx, debianSuite, criuSuite)
			if err != nil {
				return err
			}
			if err := debootstrap(ctx, dst, mirror, nodePackages); err != nil {
				return err
			}
			apt := filepath.Join(dst, "etc/apt")
			err = errors.Join(
				os.WriteFile(filepath.Join(apt, "sources.list.d/newer.list"),
					[]byte("deb [check-valid-until=no] "+mirror+" "+criuSuite+" main\n"), 0o644),
				os.WriteFile(filepath.Join(apt, "preferences.d/newer"),
					[]byte("Package: *\nPin: release n="+criuSuite+"\nPin-Priority: 100\n"), 0o644))
			if err != nil {
				return err
			}
			if err := aptInstall(ctx, dst, "-t", criuSuite, "criu"); err != nil {
				return err
			}
			return strip(dst)
		},
	}
}

// rabbitmqRoot is Debian with Debian's broker.
func rabbitmqRoot() Artifact {
	const with, broker = "ca-certificates", "rabbitmq-server"
	return Artifact{
		Name: "rabbitmq-root",
		Key:  Hash(debianSuite, with, broker),
		Make: func(ctx context.Context, dst string) error {
			mirror, err := Mirror(ctx, debianSuite)
			if err != nil {
				return err
			}
			if err := debootstrap(ctx, dst, mirror, []string{with}); err != nil {
				return err
			}
			if err := aptInstall(ctx, dst, broker); err != nil {
				return err
			}
			return strip(dst)
		},
	}
}

// debootstrap installs a minimal Debian into dst.
func debootstrap(ctx context.Context, dst, mirror string, packages []string) error {
	args := []string{"--variant=minbase", "--include=" + strings.Join(packages, ","), debianSuite, dst, mirror}
	if scripts := "/usr/share/debootstrap/scripts/"; !present(scripts + debianSuite) {
		args = append(args, scripts+"sid") // an older debootstrap: every release since 2005 is installed the same way
	}
	return command{private: true, env: debianEnv}.run(ctx, "debootstrap", args...)
}

// aptInstall installs packages inside root without starting services.
func aptInstall(ctx context.Context, root string, args ...string) error {
	policy := filepath.Join(root, "usr/sbin/policy-rc.d")
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	in := command{chroot: root, private: true, env: append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, debianEnv...)}
	// In the chroot's own PID namespace, /proc must be that namespace's.
	script := `mount -t proc proc /proc && apt-get update -qq && exec apt-get install -y -qq --no-install-recommends "$@"`
	if err := in.run(ctx, "/bin/sh", append([]string{"-ec", script, "sh"}, args...)...); err != nil {
		return err
	}
	return os.Remove(policy)
}

func strip(root string) error {
	var errs []error
	for _, dir := range stripped {
		path := filepath.Join(root, dir)
		errs = append(errs, os.RemoveAll(path), os.MkdirAll(path, 0o755))
	}
	return errors.Join(errs...)
}
