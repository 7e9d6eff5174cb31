package policy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
)

type watched struct {
	t        *testing.T
	client   *fake.Clientset
	recorder *events.FakeRecorder
	watcher  *Watcher
}

func watch(t *testing.T, objects ...runtime.Object) *watched {
	t.Helper()
	w := &watched{t: t, client: fake.NewClientset(objects...), recorder: events.NewFakeRecorder(100)}
	w.start()
	return w
}

// start runs a watcher until the test ends, as a new leader would.
func (w *watched) start() (stop func()) {
	w.watcher = NewWatcher(w.client, w.recorder, "ns", "policy", checkKind)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func(watcher *Watcher) { ended <- watcher.Start(ctx) }(w.watcher)
	stopped := false
	stop = func() {
		cancel()
		if !stopped {
			stopped = true
			require.NoError(w.t, <-ended)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *watched) put(version, text string) {
	w.t.Helper()
	cm := configMap(version, map[string]string{"descheduler.yaml": text})
	_, err := w.client.CoreV1().ConfigMaps("ns").Update(w.t.Context(), cm, metav1.UpdateOptions{})
	require.NoError(w.t, err)
}

func (w *watched) next() *Policy {
	w.t.Helper()
	select {
	case p := <-w.watcher.InForce():
		return p
	case <-time.After(2 * time.Second): // the promise of hot reload
		w.t.Fatal("no policy came into force")
		return nil
	}
}

// awaitStatus waits until the status ConfigMap tells of the version.
func (w *watched) awaitStatus(observed string, state State) map[string]string {
	w.t.Helper()
	var cm *corev1.ConfigMap
	require.Eventually(w.t, func() bool {
		var err error
		cm, err = w.client.CoreV1().ConfigMaps("ns").Get(w.t.Context(), "policy-status", metav1.GetOptions{})
		return err == nil && cm.Data["observedResourceVersion"] == observed && cm.Data["state"] == string(state)
	}, 2*time.Second, time.Millisecond)
	return cm.Data
}

func TestLastGoodPolicyStaysInForce(t *testing.T) {
	refused := testutil.ToFloat64(refusedTotal)
	w := watch(t, configMap("1", map[string]string{"descheduler.yaml": "kind: a"}))
	require.Equal(t, "1", w.next().Version)
	require.Equal(t, "1", w.awaitStatus("1", Accepted)["resourceVersion"])
	require.Equal(t, "Normal PolicyAccepted the policy is in force", <-w.recorder.Events)

	w.put("2", "knd: b")
	status := w.awaitStatus("2", Refused)
	require.Equal(t, "1", status["resourceVersion"])
	require.Equal(t, "descheduler.yaml:1: knd: unknown field", status["message"])
	require.Equal(t, "Warning PolicyRefused descheduler.yaml:1: knd: unknown field; version 1 stays in force", <-w.recorder.Events)
	require.InEpsilon(t, refused+1, testutil.ToFloat64(refusedTotal), 0.01)
	require.InEpsilon(t, 1, testutil.ToFloat64(info.WithLabelValues("Refused", "1")), 0.01)
	require.Empty(t, w.watcher.InForce())

	w.put("3", "kind: c")
	require.Equal(t, "kind: c", w.next().Descheduler)
	require.Equal(t, "3", w.awaitStatus("3", Accepted)["resourceVersion"])
}

func TestMissingPolicyIdles(t *testing.T) {
	w := watch(t)
	require.Contains(t, w.awaitStatus("", Missing)["message"], "there is no policy ConfigMap")
	_, err := w.client.CoreV1().ConfigMaps("ns").Create(t.Context(), configMap("1", map[string]string{"descheduler.yaml": "kind: a"}), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "1", w.next().Version)
	require.NoError(t, w.client.CoreV1().ConfigMaps("ns").Delete(t.Context(), "policy", metav1.DeleteOptions{}))
	require.Nil(t, w.next())
	w.awaitStatus("", Missing)
}

func TestNewLeaderGoesOnWithTheLastGoodPolicy(t *testing.T) {
	w := &watched{t: t, client: fake.NewClientset(configMap("1", map[string]string{"descheduler.yaml": "kind: a"})), recorder: events.NewFakeRecorder(100)}
	stop := w.start()
	w.next()
	w.put("2", "knd: b")
	w.awaitStatus("2", Refused)
	stop()

	w.start()
	p := w.next()
	require.Equal(t, "1", p.Version)
	require.Equal(t, "kind: a", p.Descheduler)
}

func TestRefusedFirstPolicyIdles(t *testing.T) {
	w := watch(t, configMap("1", map[string]string{"descheduler.yaml": "knd: a"}))
	require.NotContains(t, w.awaitStatus("1", Refused), "resourceVersion")
	require.Contains(t, <-w.recorder.Events, "the descheduler idles")
	require.Empty(t, w.watcher.InForce())
}

func TestNotesFitIntoEvents(t *testing.T) {
	n := note(Verdict{Message: strings.Repeat("x", 5000)})
	require.LessOrEqual(t, len(n), maxNote)
	require.Contains(t, n, "…; the descheduler idles")
}
