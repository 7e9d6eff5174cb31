// Command ms2m-descheduler is the control plane of ms2m: the descheduler whose evictions become live migrations, the
// migration controller, and the webhook that prepares pods.
package main

import (
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	if err := newCommand().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		os.Exit(1)
	}
}
