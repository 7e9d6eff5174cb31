//go:build integration

package fcc

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

// broker is an address that only the redirect to the gate makes answer.
const broker = "192.0.2.1:5672"

// checkpoint the source's container for a migration named after the test.
func checkpoint(t *testing.T, source *corev1.Pod) client.CheckpointRequest {
	t.Helper()
	r := client.CheckpointRequest{
		Migration: strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-"), Namespace: namespace,
		Pod: source.Name, PodUID: string(source.UID), Container: "app",
	}
	a := agent(t, source.Spec.NodeName)
	made, err := a.Checkpoint(t.Context(), r)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.DeleteCheckpoints(context.WithoutCancel(t.Context()), r.Migration)) })
	t.Logf("checkpoint: %d bytes in %v", made.Bytes, made.Finished.Sub(made.Started).Round(time.Millisecond))
	return r
}

// deliver the checkpoint to the ticket of a target pod.
func deliver(t *testing.T, r client.CheckpointRequest, from string, target *corev1.Pod) {
	t.Helper()
	to := agent(t, target.Spec.NodeName)
	_, err := to.PutTicket(t.Context(), r.Migration, string(target.UID), "app")
	require.NoError(t, err)
	started := time.Now()
	_, err = agent(t, from).Deliver(t.Context(), client.DeliveryRequest{
		Migration: r.Migration, Container: "app", SourceUID: r.PodUID, TargetUID: string(target.UID), Address: to.Address,
	})
	require.NoError(t, err)
	t.Logf("delivery: %v", time.Since(started).Round(time.Millisecond))
}

func ticket(t *testing.T, pod *corev1.Pod) fcc.Ticket {
	t.Helper()
	got, err := agent(t, pod.Spec.NodeName).GetTicket(t.Context(), string(pod.UID), "app")
	require.NoError(t, err)
	return got.Ticket
}

func awaitTicket(t *testing.T, pod *corev1.Pod, state fcc.TicketState) fcc.Ticket {
	t.Helper()
	var got fcc.Ticket
	require.Eventually(t, func() bool { got = ticket(t, pod); return got.State == state }, time.Minute, poll, "ticket: %v", &got)
	return got
}

// move makes a source on the first node and its restored twin on the second.
func move(t *testing.T, args ...string) (source, target *corev1.Pod, before state) {
	t.Helper()
	source = running(t, start(t, world.nodes[0], false, args...))
	for range 5 {
		before = mustAsk(t, http.MethodPost, source)
	}
	if len(args) > 0 {
		require.Eventually(t, func() bool { before = mustAsk(t, http.MethodGet, source); return before.Redirected > 0 }, 30*time.Second, poll)
	}
	r := checkpoint(t, source)
	target = start(t, world.nodes[1], true, args...)
	deliver(t, r, world.nodes[0], target)
	delivered := time.Now()
	awaitTicket(t, target, fcc.TicketRestored)
	t.Logf("restored %v after the delivery", time.Since(delivered).Round(time.Millisecond))
	return source, running(t, target), before
}

// timeless is the state without what goes on by itself.
func timeless(s state) state {
	s.Dialled, s.Redirected = 0, 0
	return s
}

func TestMemoryMoves(t *testing.T) {
	source, target, before := move(t, "-mebibytes", "64", "-broker", broker)
	require.Equal(t, "0", before.MPTCP, "MPTCP is off in a prepared pod")
	require.Equal(t, "function not implemented", before.IOUring)
	after := mustAsk(t, http.MethodGet, target)
	require.Equal(t, timeless(before), timeless(after))
	require.Eventually(t, func() bool { return mustAsk(t, http.MethodGet, target).Dialled > before.Dialled }, 30*time.Second, poll,
		"the restored connection is closed and dialled again")
	require.Equal(t, before.Count+1, mustAsk(t, http.MethodPost, target).Count)
	require.Equal(t, timeless(before), timeless(mustAsk(t, http.MethodGet, source)), "the source goes on as if nothing had happened")
	now := get(t.Context(), target)
	require.Zero(t, now.Status.ContainerStatuses[0].RestartCount)
	require.Contains(t, now.Status.ContainerStatuses[0].ContainerID, ticket(t, target).ContainerID)
	for i, folder := range []string{"/var/lib/kubelet/checkpoints", "/var/lib/kubelet/checkpoints"} {
		out, err := world.NodeExec(t.Context(), world.nodes[i], "ls", folder)
		require.NoError(t, err)
		require.NotContains(t, out, source.Name)
		require.NotContains(t, out, string(source.UID))
	}
}

// kill the container's process on its node.
func kill(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	id := strings.TrimPrefix(get(t.Context(), pod).Status.ContainerStatuses[0].ContainerID, "containerd://")
	_, err := world.NodeExec(t.Context(), pod.Spec.NodeName, "runc", "--root", "/run/containerd/runc/k8s.io", "kill", id, "KILL")
	require.NoError(t, err)
}

// event waits for an event of the pod that says so.
func event(t *testing.T, pod *corev1.Pod, text string) {
	t.Helper()
	var messages []string
	require.Eventually(t, func() bool {
		list, err := world.kube.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(pod.UID)})
		require.NoError(t, err)
		messages = nil
		for _, e := range list.Items {
			messages = append(messages, e.Message)
		}
		return strings.Contains(strings.Join(messages, "\n"), text)
	}, 2*time.Minute, 100*time.Millisecond, "awaiting event %q", text)
}

func TestCrashBeforeCommitStartsNothing(t *testing.T) {
	_, target, _ := move(t)
	kill(t, target)
	failed := awaitTicket(t, target, fcc.TicketFailed)
	require.Contains(t, failed.Reason, "ended before the commit")
	event(t, target, "ended before the commit")
	_, err := ask(t.Context(), http.MethodGet, target)
	require.Error(t, err, "no empty copy may pose as the restored one")
}

func TestCrashAfterCommitStartsImage(t *testing.T) {
	_, target, before := move(t)
	committed, err := agent(t, world.nodes[1]).CommitTicket(t.Context(), string(target.UID), "app")
	require.NoError(t, err)
	require.Equal(t, fcc.TicketCommitted, committed.State)
	out, err := world.NodeExec(t.Context(), world.nodes[1], "find", "/var/lib/ms2m/tickets/"+string(target.UID), "-name", "*.img")
	require.NoError(t, err)
	require.Empty(t, out, "process memory does not outlive the commit")
	kill(t, target)
	require.Eventually(t, func() bool {
		s, err := ask(t.Context(), http.MethodGet, target)
		return err == nil && s.Instance != before.Instance
	}, time.Minute, poll)
	require.Zero(t, mustAsk(t, http.MethodGet, target).Count)
}

// A ticket is for one pod's UID: another pod, of the same name even, waits for its own and never starts.
func TestTicketOfAnotherPodRestoresNothing(t *testing.T) {
	source := running(t, start(t, world.nodes[0], false))
	mustAsk(t, http.MethodGet, source)
	r := checkpoint(t, source)
	meant := start(t, world.nodes[1], true)
	other := start(t, world.nodes[1], true)
	deliver(t, r, world.nodes[0], meant)
	running(t, meant)
	event(t, other, "no migration has given it one")
	// The kubelet reports nothing of a pod while the wrapper waits in it.
	var now *corev1.Pod
	require.Eventually(t, func() bool { now = get(t.Context(), other); return now.Status.PodIP != "" }, time.Minute, poll)
	require.Nil(t, now.Status.ContainerStatuses[0].State.Running)
	_, err := ask(t.Context(), http.MethodGet, now)
	require.Error(t, err)
}

// The wrapper is killed while it restores: the container must never start, neither restored nor fresh.
func TestKilledWrapperStartsNothing(t *testing.T) {
	source := running(t, start(t, world.nodes[0], false, "-mebibytes", "512"))
	mustAsk(t, http.MethodPost, source)
	r := checkpoint(t, source)
	target := start(t, world.nodes[1], true, "-mebibytes", "512")
	file := fmt.Sprintf("/var/lib/ms2m/tickets/%s/app/ticket.json", target.UID)
	// The loop runs on the node, because the moment is short.
	killer, err := world.NodeCommand(t.Context(), world.nodes[1], "sh", "-c",
		"until grep -q restoring "+file+" 2>/dev/null; do :; done; for p in /proc/[0-9]*; do"+
			" [ \"$(readlink $p/exe)\" = /opt/ms2m/bin/ms2m-runc ] && grep -qa create $p/cmdline && kill -9 ${p#/proc/}; done; true")
	require.NoError(t, err)
	require.NoError(t, killer.Start())
	deliver(t, r, world.nodes[0], target)
	require.NoError(t, killer.Wait())
	failed := awaitTicket(t, target, fcc.TicketFailed)
	require.Contains(t, failed.Reason, "wrapper died")
	event(t, target, "wrapper died")
	out, err := world.NodeExec(t.Context(), world.nodes[1], "sh", "-c", "grep -la "+string(target.UID)+" /proc/[0-9]*/cgroup 2>/dev/null | xargs -r -n1 dirname | while read p; do cat $p/comm; done")
	require.NoError(t, err)
	require.NotContains(t, out, "memory", "no process of the half restored container is left")
}

func TestFailedCheckpointTellsWhy(t *testing.T) {
	source := running(t, start(t, world.nodes[0], false, "-undumpable"))
	mustAsk(t, http.MethodGet, source)
	_, err := agent(t, world.nodes[0]).Checkpoint(t.Context(), client.CheckpointRequest{
		Migration: "undumpable", Namespace: namespace, Pod: source.Name, PodUID: string(source.UID), Container: "app",
	})
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Message, "CRIU: ")
	require.Contains(t, refused.Message, "userfaultfd")
	mustAsk(t, http.MethodPost, source) // it goes on
}

// The agent, root without a capability, reaches the socket of a gate that runs as another user.
func TestAgentReachesGate(t *testing.T) {
	class, grace, always, user, yes := v1alpha1.RuntimeClass, int64(0), corev1.ContainerRestartPolicyAlways, int64(v1alpha1.GateUID), true
	pod := create(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "gated-"},
		Spec: corev1.PodSpec{
			NodeName: world.nodes[0], RuntimeClassName: &class, TerminationGracePeriodSeconds: &grace,
			ReadinessGates: []corev1.PodReadinessGate{{ConditionType: v1alpha1.ConditionActive}},
			InitContainers: []corev1.Container{{
				Name: v1alpha1.GateContainer, Image: image, ImagePullPolicy: corev1.PullNever, RestartPolicy: &always,
				Args: []string{"-gate", v1alpha1.GateFolder + "/gate.sock"},
				SecurityContext: &corev1.SecurityContext{
					RunAsUser: &user, RunAsGroup: &user, RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
			Containers: []corev1.Container{{Name: "app", Image: image, ImagePullPolicy: corev1.PullNever}},
		},
	})
	running(t, pod)
	status, err := agent(t, world.nodes[0]).Gate(string(pod.UID)).Status(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, "Open", status.Mode)
	require.Eventually(t, func() bool {
		for _, c := range get(t.Context(), pod).Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	}, 30*time.Second, poll, "the agent's condition makes the pod ready")
}

func TestNodesAreReady(t *testing.T) {
	for _, name := range world.nodes {
		report, err := agent(t, name).Node(t.Context())
		require.NoError(t, err)
		require.Empty(t, report.Problems)
		require.Equal(t, name, report.Name)
	}
}
