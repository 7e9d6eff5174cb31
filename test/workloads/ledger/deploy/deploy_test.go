package deploy

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the manifests instead of comparing them")

const header = "# Written from test/workloads/ledger/deploy by `go test ./test/workloads/ledger/deploy -update`.\n"

func TestManifestsAreUpToDate(t *testing.T) {
	options := Options{Mebibytes: 64}
	for name, objects := range map[string][]client.Object{
		"ledger.yaml":     append(Base(options), Deployment(options)),
		"ledger-pod.yaml": append(Base(options), Pod(options)),
	} {
		documents, err := YAML(objects...)
		require.NoError(t, err)
		text := header + string(documents)
		path := filepath.Join("..", "..", "manifests", name)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
		committed, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(committed), "%s differs from the code: run the test with -update", name)
	}
}

func TestPodIsMigratable(t *testing.T) {
	pod := Pod(Options{})
	require.Equal(t, "true", pod.Labels[v1alpha1.LabelMigratable])
	require.Empty(t, pod.Spec.Volumes)
	require.False(t, *pod.Spec.AutomountServiceAccountToken, "a mounted token is a volume")
	require.NotEqual(t, int64(v1alpha1.GateUID), *pod.Spec.SecurityContext.RunAsUser, "the redirect spares the gate's user")
	require.Empty(t, pod.Spec.NodeSelector)
}

func TestOptionsReachThePod(t *testing.T) {
	spec := Deployment(Options{Node: "worker-2", Mebibytes: 512, Service: 20 * time.Millisecond, Prefetch: 7, CPU: "1"}).Spec.Template.Spec
	require.Equal(t, "worker-2", spec.NodeName)
	args := spec.Containers[0].Args
	require.Contains(t, args, "--memory=512")
	require.Contains(t, args, "--service=20ms")
	require.Contains(t, args, "--prefetch=7")
	requests := spec.Containers[0].Resources.Requests
	require.Equal(t, "1", requests.Cpu().String())
	require.Equal(t, "576Mi", requests.Memory().String())
}
