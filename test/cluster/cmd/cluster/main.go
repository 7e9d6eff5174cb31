// Command cluster brings a real Kubernetes up on this machine and takes it down again.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/test/cluster"
	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		code := 1
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "Interrupted.")
		} else {
			fmt.Fprintln(os.Stderr, "Error:", err)
		}
		stop()
		os.Exit(code) //nolint:gocritic // stopped above
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "cluster", Short: "A real Kubernetes on this machine, for tests and demonstrations",
		SilenceUsage: true, SilenceErrors: true,
	}
	dir := root.PersistentFlags().String("dir", os.Getenv(cluster.Env), "the cluster's folder (default .cluster at the project's root)")
	root.AddCommand(upCommand(dir), downCommand(dir), buildCommand(), statusCommand(dir), shellCommand(dir), execCommand(dir),
		loadCommand(dir), addNodeCommand(dir))
	return root
}

func upCommand(dir *string) *cobra.Command {
	options := cluster.Options{}
	rabbitmq := false
	command := &cobra.Command{Use: "up", Short: "Build what is missing and start a cluster", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			options.Dir = *dir
			c, err := cluster.Up(command.Context(), options)
			if err != nil {
				return err
			}
			if rabbitmq {
				if err := c.DeployRabbitMQ(command.Context()); err != nil {
					return err
				}
			}
			fmt.Printf("The cluster is up. Use it with:\n  export KUBECONFIG=%s PATH=%s:$PATH\n", c.Kubeconfig(), c.Bin(""))
			return nil
		}}
	command.Flags().IntVar(&options.Nodes, "nodes", 2, "number of nodes, 1 to 4")
	command.Flags().BoolVar(&options.WithoutProduct, "without-product", false, "leave out the product's images and runtime wrapper")
	command.Flags().BoolVar(&rabbitmq, "rabbitmq", false, "deploy RabbitMQ too")
	return command
}

func downCommand(dir *string) *cobra.Command {
	return &cobra.Command{Use: "down", Short: "Take the cluster away, or what is left of it", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return cluster.Down(command.Context(), *dir) }}
}

func buildCommand() *cobra.Command {
	return &cobra.Command{Use: "build", Short: "Only build what a cluster needs, into the cache", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return cluster.Build(command.Context(), build.NewProgress(os.Stderr))
		}}
}

func statusCommand(dir *string) *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Show nodes and pods", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := cluster.Attach(*dir)
			if err != nil {
				return err
			}
			for _, args := range []string{"get nodes -o wide", "get pods -A -o wide"} {
				out, err := c.Kubectl(command.Context(), strings.Fields(args)...)
				if err != nil {
					return err
				}
				fmt.Println(out)
			}
			return nil
		}}
}

func shellCommand(dir *string) *cobra.Command {
	return &cobra.Command{Use: "shell", Short: "A shell with kubectl set up for the cluster",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := cluster.Attach(*dir)
			if err != nil {
				return err
			}
			shell := os.Getenv("SHELL")
			if shell == "" {
				shell = "/bin/bash"
			}
			environ := append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(), "PATH="+c.Bin("")+":"+os.Getenv("PATH"), cluster.Env+"="+c.Dir())
			return syscall.Exec(shell, append([]string{shell}, args...), environ)
		}}
}

func execCommand(dir *string) *cobra.Command {
	command := &cobra.Command{Use: "exec NODE COMMAND...", Short: "Run a command inside a node", Args: cobra.MinimumNArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			c, err := cluster.Attach(*dir)
			if err != nil {
				return err
			}
			inside, err := c.NodeCommand(command.Context(), args[0], args[1:]...)
			if err != nil {
				return err
			}
			inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
			return inside.Run()
		}}
	command.Flags().SetInterspersed(false)
	return command
}

func loadCommand(dir *string) *cobra.Command {
	return &cobra.Command{Use: "load [NAME...]", Short: "Build the product again and put it into the running cluster",
		RunE: func(command *cobra.Command, args []string) error {
			c, err := cluster.Attach(*dir)
			if err != nil {
				return err
			}
			return c.LoadProduct(command.Context(), build.NewProgress(os.Stderr), args...)
		}}
}

func addNodeCommand(dir *string) *cobra.Command {
	return &cobra.Command{Use: "add-node", Short: "Start one more node", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := cluster.Attach(*dir)
			if err != nil {
				return err
			}
			n, err := c.AddNode(command.Context())
			if err == nil {
				fmt.Println(n.Name, "is Ready")
			}
			return err
		}}
}
