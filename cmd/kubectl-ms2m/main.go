// Command kubectl-ms2m is a plugin of kubectl: kubectl ms2m migrates pods, shows migrations and checks policies.
package main

import (
	"fmt"
	"io"
	"os"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"ms2m.dev/ms2m-descheduler/pkg/kubectl"
)

func main() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard) // the libraries' log is not for people
	if err := kubectl.New(os.Stdout).ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
