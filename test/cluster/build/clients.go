package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

var (
	// clientPackages are the client libraries that Debian has, and what runs the programs that use them.
	clientPackages = []string{"python3-pika", "python3-cryptography",
		"openjdk-21-jdk-headless", "librabbitmq-client-java", "libgoogle-gson-java", "nodejs"}
	// clientModules of npm, with their versions, lie in the root's /node_modules, where Node finds them from any folder.
	clientModules = []string{"amqplib@2.3.1"}
	// clientLeavings are large, and only for making runtimes of one's own.
	clientLeavings = "usr/lib/jvm/*/jmods"
)

// clientsRoot is Debian with AMQP clients for Python, Java and Node.
func clientsRoot() Artifact {
	words := append([]string{debianSuite, clientLeavings}, clientPackages...)
	return Artifact{
		Name: "clients-root",
		Key:  Hash(append(words, clientModules...)...),
		Make: func(ctx context.Context, dst string) error {
			mirror, err := Mirror(ctx, debianSuite)
			if err != nil {
				return err
			}
			if err := debootstrap(ctx, dst, mirror, []string{"ca-certificates"}); err != nil {
				return err
			}
			if err := aptInstall(ctx, dst, clientPackages...); err != nil {
				return err
			}
			if err := npmInstall(ctx, dst, clientModules...); err != nil {
				return err
			}
			leavings, err := filepath.Glob(filepath.Join(dst, clientLeavings))
			for _, folder := range leavings {
				err = errors.Join(err, os.RemoveAll(folder))
			}
			return errors.Join(err, strip(dst))
		},
	}
}

// npmInstall installs modules in root's /node_modules with the host's npm, which knows the host's way to the registry.
// Their install scripts do not run.
func npmInstall(ctx context.Context, root string, modules ...string) error {
	if !present("npm") {
		if err := InstallPackages(ctx, []string{"npm"}); err != nil {
			return err
		}
	}
	args := append([]string{"install", "--prefix", root, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"}, modules...)
	return command{}.run(ctx, "npm", args...)
}
