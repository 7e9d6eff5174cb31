package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

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
		{"amqp-client for Java", "java", in.running(slices.Concat([]string{"/usr/bin/java"}, jvmOptions, []string{"-cp", builtFolder + ":" + javaLibraries, "Main"})...)},
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

func (r room) enter(ctx context.Context, program ...string) *exec.Cmd {
	binds := []build.Bind{{From: r.source, To: sourceFolder}, {From: r.built, To: builtFolder}}
	return build.Enter(ctx, r.libraries, strconv.Itoa(nobody), binds, program...)
}

func (r room) running(program ...string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd { return r.enter(ctx, program...) }
}

func (r room) compileJava(ctx context.Context) error {
	if err := os.Chown(r.built, nobody, nobody); err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(r.source, "java", "*.java"))
	if err != nil {
		return err
	}
	args := []string{"/usr/bin/javac", "-J-XX:TieredStopAtLevel=1", "-cp", javaLibraries, "-d", builtFolder}
	for _, s := range sources {
		args = append(args, filepath.Join(sourceFolder, "java", filepath.Base(s)))
	}
	if out, err := r.enter(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the program in Java: %w\n%s", err, out)
	}
	return nil
}
