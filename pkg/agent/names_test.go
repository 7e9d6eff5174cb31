package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/runtime"
)

// The runtime wrapper may not import the API's package, which is not small.
func TestWrapperAgreesWithTheAPI(t *testing.T) {
	require.Equal(t, v1alpha1.AnnotationRestore, runtime.AnnotationRestore)
	require.Equal(t, v1alpha1.AnnotationBrokerPorts, runtime.AnnotationBrokerPorts)
	require.Equal(t, v1alpha1.GateContainer, runtime.GateContainer)
	require.Equal(t, v1alpha1.GateFolder, runtime.GateFolder)
	require.EqualValues(t, v1alpha1.GateUID, runtime.GateUID)
	require.EqualValues(t, v1alpha1.GatePort, runtime.GatePort)
}
