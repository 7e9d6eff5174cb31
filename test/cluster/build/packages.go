package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// hostNeeds maps what the host must have to the Debian or Ubuntu package that brings it.
var hostNeeds = []struct{ found, packageName string }{
	{"debootstrap", "debootstrap"},
	{"/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"},
	{"gcc", "gcc"},
	{"/usr/include/unistd.h", "libc6-dev"},
	{"pkg-config", "pkg-config"},
	{"/usr/include/seccomp.h", "libseccomp-dev"},
	{"ip", "iproute2"},
	{"nft", "nftables"},
	{"patchelf", "patchelf"},
}

// MissingPackages lists the packages to install on this host.
func MissingPackages() []string {
	var missing []string
	for _, need := range hostNeeds {
		if !present(need.found) {
			missing = append(missing, need.packageName)
		}
	}
	return missing
}

func present(what string) bool {
	if filepath.IsAbs(what) {
		_, err := os.Stat(what)
		return err == nil
	}
	if _, err := exec.LookPath(what); err == nil {
		return true
	}
	_, err := os.Stat(filepath.Join("/usr/sbin", what)) // not in everybody's PATH
	return err == nil
}

// InstallPackages installs packages with apt-get.
func InstallPackages(ctx context.Context, packages []string) error {
	apt := command{env: []string{"DEBIAN_FRONTEND=noninteractive"}}
	install := append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...)
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("installing %s: this host has no apt-get; install them by its own means", strings.Join(packages, ", "))
	}
	if err := apt.run(ctx, "apt-get", "update", "-q"); err != nil {
		return err
	}
	return apt.run(ctx, "apt-get", install...)
}
