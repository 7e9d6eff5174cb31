// Command bench measures the product, one part at a time.
package main

import (
	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/test/system"
)

func main() {
	root := &cobra.Command{Use: "bench", Short: "Measure the product", SilenceUsage: true}
	root.AddCommand(gateCommand(), migrationsCommand())
	system.Main(root)
}
