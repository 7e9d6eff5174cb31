package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// CRI-O hands all annotations of a pod on: one with containerd's name must not make a container another pod's.
func TestAnnotationsOfCRIODecideWhereTheyAre(t *testing.T) {
	s, err := readSpec(bundle(t, `{"annotations":{
		"io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.container.name":"app","io.kubernetes.pod.uid":"own",
		"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.container-name":"other","io.kubernetes.cri.sandbox-uid":"victim",
		"ms2m.dev/restore":"app"}}`))
	require.NoError(t, err)
	require.Equal(t, kindContainer, s.annotation(annotationType))
	require.Equal(t, "app", s.annotation(annotationName))
	require.Equal(t, "own", s.annotation(annotationPodUID))
	require.True(t, s.restored("app"))
	s, err = readSpec(bundle(t, `{"annotations":{"io.kubernetes.cri.sandbox-uid":"uid","io.kubernetes.pod.uid":"x"}}`))
	require.NoError(t, err)
	require.Equal(t, "uid", s.annotation(annotationPodUID))
}

// CRI-O drops the container of the sandbox, so that the first of the pod's own has to find its network prepared.
func TestCRIOsContainerPreparesThePodsNetwork(t *testing.T) {
	n := newNode(t)
	dir := bundle(t, `{"root":{"path":"rootfs"},"annotations":{
		"io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.container.name":"app","io.kubernetes.pod.uid":"`+pod+`"}}`)
	calls, failure := n.runc(t, "create --bundle "+dir+" id")
	require.Empty(t, calls)
	require.Contains(t, failure, "hostNetwork")
}

func TestNewerOfTwoVersions(t *testing.T) {
	for _, x := range []struct {
		a, b  string
		newer bool
	}{
		{"4.2.1", "4.2", true}, {"4.2", "4.2.1", false}, {"4.10", "4.9", true}, {"3.17.1", "4.1", false},
		{"4.2", "", true}, {"", "", false}, {"", "4.2", false}, {"4.2", "4.2", false},
	} {
		require.Equal(t, x.newer, newer(x.a, x.b), "%s over %s", x.a, x.b)
	}
}
