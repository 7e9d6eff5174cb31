package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

// Program carries out cases with a client library.
type Program struct {
	// Name of the library, and Short one.
	Name, Short string
	command     func(context.Context) *exec.Cmd
}

// Folders inside the root file system with the libraries.
const (
	sourceFolder = "/mnt"
	builtFolder  = "/srv"
)

// Build the programs, in a folder of the caller's. root is the project's folder. It needs to be root.
func Build(ctx context.Context, root, folder string) ([]*Program, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("building programs with client libraries: they run in a root file system of their own; run this as root, with sudo for example")
	}
	cache, err := build.DefaultCache()
	if err != nil {
		return nil, err
	}
	libraries, err := build.ClientsRoot(ctx, cache, build.NewProgress(os.Stderr))
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(folder, "amqp091-go")
	if err := build.GoBuild(ctx, root, "./test/clients/go", binary); err != nil {
		return nil, err
	}
	in := room{libraries: libraries, source: filepath.Join(root, "test/clients"), built: folder}
	if err := in.compileJava(ctx); err != nil {
		return nil, err
	}
	return []*Program{
		{"amqp091-go", "go", func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, binary) }},
		{"pika", "pika", in.running("/usr/bin/python3", sourceFolder+"/python/main.py")},
		{"amqp-client for Java", "java", in.running("/usr/bin/java", append(jvmOptions, "-cp", builtFolder+":"+javaLibraries, "Main")...)},
		{"amqplib for Node", "node", in.running("/usr/bin/node", sourceFolder+"/node/main.js")},
	}, nil
}

var (
	javaLibraries = "/usr/share/java/amqp-client.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/gson.jar"
	// jvmOptions for programs that run for seconds, several at a time.
	jvmOptions = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"}
)

// room is where programs run: the root file system with the libraries, the sources and what was built from them.
type room struct{ libraries, source, built string }

// nobody runs the programs.
const nobody = 65534

// enterScript is PID 1 of the room's namespaces until it becomes the program.
const enterScript = `root=$1 source=$2 built=$3 user=$4
shift 4
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$source" "$root` + sourceFolder + `"
mount --bind "$built" "$root` + builtFolder + `"
exec chroot --userspec="$user:$user" "$root" "$@"`

func (r room) enter(ctx context.Context, program string, args ...string) *exec.Cmd {
	script := []string{"-ec", enterScript, "sh", r.libraries, r.source, r.built, fmt.Sprint(nobody), program}
	cmd := exec.CommandContext(ctx, "/bin/sh", append(script, args...)...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		// Unshared, not cloned: only then does Go keep mounts from propagating to the host.
		Unshareflags: syscall.CLONE_NEWNS,
		Cloneflags:   syscall.CLONE_NEWPID,
	}
	return cmd
}

func (r room) running(program string, args ...string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd { return r.enter(ctx, program, args...) }
}

func (r room) compileJava(ctx context.Context) error {
	if err := os.Chown(r.built, nobody, nobody); err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(r.source, "java", "*.java"))
	if err != nil {
		return err
	}
	args := []string{"-J-XX:TieredStopAtLevel=1", "-cp", javaLibraries, "-d", builtFolder}
	for _, s := range sources {
		args = append(args, filepath.Join(sourceFolder, "java", filepath.Base(s)))
	}
	if out, err := r.enter(ctx, "/usr/bin/javac", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the program in Java: %w\n%s", err, out)
	}
	return nil
}
