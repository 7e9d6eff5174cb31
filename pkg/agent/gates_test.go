package agent

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// fakeGate has a mode that a fence closes, and refuses to hold.
type fakeGate struct{ mode atomic.Value }

func (g *fakeGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case control.PathStatus:
		_ = json.NewEncoder(w).Encode(control.Status{Mode: g.mode.Load().(control.Mode)})
	case control.PathFence:
		g.mode.Store(control.ModeFenced)
	default:
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(control.Error{Reason: control.ReasonNotDrained, Message: "the app holds a batch"})
	}
}

// condition of the source pod, nil if it has none.
func (n *node) condition(t *testing.T) *corev1.PodCondition {
	t.Helper()
	pod, err := n.kube.CoreV1().Pods("default").Get(t.Context(), "source", metav1.GetOptions{})
	require.NoError(t, err)
	for _, c := range pod.Status.Conditions {
		if c.Type == v1alpha1.ConditionActive {
			return &c
		}
	}
	return nil
}

func TestCommandsReachTheGateUnchanged(t *testing.T) {
	n := newNode(t, authority(t), prepared("source", sourceUID))
	g := &fakeGate{}
	g.mode.Store(control.ModeOpen)
	n.gate(t, sourceUID, g)
	gate := n.controller(t).Gate(sourceUID)
	status, err := gate.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, control.ModeOpen, status.Mode)

	_, err = gate.Hold(t.Context(), control.HoldRequest{})
	var refused *control.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, control.Error{Reason: control.ReasonNotDrained, Message: "the app holds a batch"}, *refused)
	require.Eventually(t, func() bool { c := n.condition(t); return c != nil && c.Status == corev1.ConditionTrue },
		5*time.Second, time.Millisecond, "no poll is needed after a command")

	require.NoError(t, gate.Fence(t.Context(), control.Command{}))
	require.Eventually(t, func() bool { return n.condition(t).Status == corev1.ConditionFalse }, 5*time.Second, time.Millisecond)
	require.Equal(t, string(control.ModeFenced), n.condition(t).Reason)

	_, err = n.controller(t).Gate(targetUID).Status(t.Context())
	require.ErrorContains(t, err, "502")
}

func TestGateThatIsALinkIsNotFollowed(t *testing.T) {
	n := newNode(t, authority(t))
	n.gate(t, sourceUID, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another pod's gate was reached") }))
	folder := filepath.Join(n.options.Root, "gates", targetUID)
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, os.Symlink(filepath.Join("..", sourceUID, gateSocket), filepath.Join(folder, gateSocket)))
	_, err := n.controller(t).Gate(targetUID).Status(t.Context())
	require.ErrorContains(t, err, "no socket")
}

func TestActiveFollowsTheMode(t *testing.T) {
	n := newNode(t, authority(t), prepared("source", sourceUID))
	g := &fakeGate{}
	g.mode.Store(control.ModeOpen)
	n.gate(t, sourceUID, g)
	for mode, want := range map[control.Mode]corev1.ConditionStatus{
		control.ModeOpen: "True", control.ModeHolding: "True", control.ModeHeld: "True", control.ModeLogging: "True",
		control.ModeHandingOver: "True",
		control.ModeHandedOver:  "False", control.ModeFenced: "False", control.ModeClosed: "False", control.ModeReplaying: "False", control.ModeReplayed: "False",
	} {
		g.mode.Store(mode)
		n.active.update(t.Context(), sourceUID)
		require.Equal(t, want, n.condition(t).Status, mode)
	}
	writes := len(n.kube.Actions())
	n.active.update(t.Context(), sourceUID)
	require.Len(t, n.kube.Actions(), writes, "nothing is written when nothing has changed")
}

func TestSilentGateChangesNothing(t *testing.T) {
	n := newNode(t, authority(t), prepared("source", sourceUID))
	n.active.update(t.Context(), sourceUID)
	require.Nil(t, n.condition(t))
}
