package agent

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

func TestCheckpointDeliveryTicket(t *testing.T) {
	ca := authority(t)
	source, target := newNode(t, ca, prepared("source", sourceUID)), newNode(t, ca)
	from, to := source.controller(t), target.controller(t)
	first, err := from.Checkpoint(t.Context(), checkpointRequest())
	require.NoError(t, err)
	require.Positive(t, first.Bytes)
	again, err := from.Checkpoint(t.Context(), checkpointRequest())
	require.NoError(t, err)
	require.Equal(t, first.Finished.UnixNano(), again.Finished.UnixNano())
	require.EqualValues(t, 1, source.asked.Load(), "asked again, the agent answers with what it has")

	request := client.DeliveryRequest{Migration: "migration", Container: "app", SourceUID: sourceUID, TargetUID: targetUID, Address: target.address}
	_, err = from.Deliver(t.Context(), request)
	requireRefused(t, err, http.StatusUnprocessableEntity, "no restore ticket")
	ticket, err := to.PutTicket(t.Context(), "migration", targetUID, "app")
	require.NoError(t, err)
	require.Equal(t, fcc.TicketExpected, ticket.State)
	var delivered client.Delivery
	for range 2 {
		delivered, err = from.Deliver(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, first.Bytes, delivered.Bytes)
	}
	ticket, err = to.GetTicket(t.Context(), targetUID, "app")
	require.NoError(t, err)
	require.Equal(t, fcc.TicketReady, ticket.State)
	require.Equal(t, delivered.Digest, ticket.Digest)
	left, err := os.ReadDir(source.options.Checkpoints)
	require.NoError(t, err)
	require.Empty(t, left, "a delivered archive is removed")

	request.TargetUID = "77777777-2222-3333-4444-555555555555"
	_, err = from.Deliver(t.Context(), request)
	requireRefused(t, err, http.StatusGone, targetUID)
	_, err = to.CommitTicket(t.Context(), targetUID, "app")
	requireRefused(t, err, http.StatusConflict, "from ready to committed")
	require.NoError(t, to.DeleteTicket(t.Context(), targetUID, "app"))
	withdrawn, err := to.GetTicket(t.Context(), targetUID, "app")
	require.NoError(t, err)
	require.Equal(t, fcc.TicketFailed, withdrawn.State, "a wrapper that waits must learn that it waits in vain")
	require.NoDirExists(t, filepath.Join(target.options.Root, "tickets", targetUID, "app", "archive"), "memory must not stay")
	require.NoError(t, to.DeleteTicket(t.Context(), targetUID, "other"), "none is no error")
	require.NoError(t, from.DeleteCheckpoints(t.Context(), "migration"))
	require.NoDirExists(t, filepath.Join(source.options.Root, "checkpoints", "migration"))
}

func TestOnlyPreparedPodsOfThisNodeAreReadOut(t *testing.T) {
	plain := prepared("plain", sourceUID)
	plain.Spec.RuntimeClassName = nil
	elsewhere := prepared("elsewhere", sourceUID)
	elsewhere.Spec.NodeName = "other"
	n := newNode(t, authority(t), prepared("source", sourceUID), plain, elsewhere)
	c := n.controller(t)
	for name, x := range map[string]struct {
		edit   func(*client.CheckpointRequest)
		code   int
		reason string
	}{
		"another UID":       {func(r *client.CheckpointRequest) { r.PodUID = targetUID }, 409, "is gone"},
		"no such pod":       {func(r *client.CheckpointRequest) { r.Pod = "nobody" }, 404, "no such pod"},
		"not prepared":      {func(r *client.CheckpointRequest) { r.Pod = "plain" }, 409, "not prepared"},
		"on another node":   {func(r *client.CheckpointRequest) { r.Pod = "elsewhere" }, 409, "not on this agent's node"},
		"the gate":          {func(r *client.CheckpointRequest) { r.Container = v1alpha1.GateContainer }, 409, "no app container"},
		"no such container": {func(r *client.CheckpointRequest) { r.Container = "none" }, 409, "no app container"},
		"path trick":        {func(r *client.CheckpointRequest) { r.Migration = "../../etc" }, 400, "no UID"},
		"container trick":   {func(r *client.CheckpointRequest) { r.Container = "../x" }, 400, "no name of a container"},
	} {
		t.Run(name, func(t *testing.T) {
			r := checkpointRequest()
			x.edit(&r)
			_, err := c.Checkpoint(t.Context(), r)
			requireRefused(t, err, x.code, x.reason)
		})
	}
	require.Zero(t, n.asked.Load())
}

func TestConcurrentCheckpointsAskTheKubeletOnce(t *testing.T) {
	n := newNode(t, authority(t), prepared("source", sourceUID))
	c := n.controller(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := c.Checkpoint(t.Context(), checkpointRequest())
			require.NoError(t, err)
		})
	}
	group.Wait()
	require.EqualValues(t, 1, n.asked.Load())
}

// Two migrations within a second get archives of the same name from the kubelet.
func TestArchivesOfOneSecondDoNotCollide(t *testing.T) {
	n := newNode(t, authority(t), prepared("source", sourceUID))
	c := n.controller(t)
	for _, migration := range []string{"one", "two"} {
		r := checkpointRequest()
		r.Migration = migration
		_, err := c.Checkpoint(t.Context(), r)
		require.NoError(t, err)
	}
	archives, err := os.ReadDir(n.options.Checkpoints)
	require.NoError(t, err)
	require.Len(t, archives, 2)
}

func TestCertificatesDecide(t *testing.T) {
	ca := authority(t)
	n := newNode(t, ca)
	_, err := n.as(t, v1alpha1.AgentIdentity).Node(t.Context())
	requireRefused(t, err, http.StatusForbidden, "only ms2m-controller")
	_, err = n.as(t, "somebody").PutTicket(t.Context(), "migration", targetUID, "app")
	requireRefused(t, err, http.StatusForbidden, `"somebody"`)

	config, err := identity(t, ca, v1alpha1.ControllerIdentity).ClientTLS()
	require.NoError(t, err)
	status := post(t, config, "https://"+n.address+client.PathArchives+"/"+targetUID+"/app")
	require.Equal(t, http.StatusForbidden, status, "archives come from agents only")

	stranger, err := identity(t, authority(t), v1alpha1.ControllerIdentity).ClientTLS()
	require.NoError(t, err)
	_, err = client.New(n.address, stranger).Node(t.Context())
	require.ErrorContains(t, err, "certificate")
	strange := newNode(t, authority(t))
	strange.ca = ca // asks with a certificate of ours, but meets an imposter
	_, err = strange.controller(t).Node(t.Context())
	require.ErrorContains(t, err, "certificate")
}

func TestCertificatesAreReadAgain(t *testing.T) {
	old, next := authority(t), authority(t)
	n := newNode(t, old)
	dir := string(identity(t, old, v1alpha1.ControllerIdentity))
	config, err := client.Identity(dir).ClientTLS()
	require.NoError(t, err)
	_, err = client.New(n.address, config).Node(t.Context())
	require.NoError(t, err)
	issue(t, next, v1alpha1.AgentIdentity, string(n.options.Identity))
	_, err = client.New(n.address, config).Node(t.Context())
	require.Error(t, err)
	issue(t, next, v1alpha1.ControllerIdentity, dir)
	_, err = client.New(n.address, config).Node(t.Context())
	require.NoError(t, err, "a rotation needs no restart on either side")
}

func TestNodeReportsProblems(t *testing.T) {
	n := newNode(t, authority(t))
	c := n.controller(t)
	report, err := c.Node(t.Context())
	require.NoError(t, err)
	require.Equal(t, "node", report.Name)
	require.NotEmpty(t, report.CPUClass)
	require.Len(t, report.Problems, 1)
	require.Contains(t, report.Problems[0], "does the DaemonSet ms2m-node run on this node")
	require.NoError(t, fcc.WriteNodeRecord(n.options.Root, fcc.NodeRecord{Runc: "1.4.3", Kernel: "6.18"}))
	require.NoError(t, os.Remove(n.options.TokenFile))
	report, err = c.Node(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1.4.3", report.Runc)
	require.Len(t, report.Problems, 2)
	require.Contains(t, report.Problems[0], "service account token")
	require.Contains(t, report.Problems[1], "install CRIU")
}

func TestSweepRemovesWhatIsGone(t *testing.T) {
	n := newNode(t, authority(t), prepared("source", sourceUID))
	c := n.controller(t)
	for _, uid := range []string{sourceUID, targetUID} {
		require.NoError(t, os.MkdirAll(filepath.Join(n.options.Root, "gates", uid), 0o700))
		_, err := c.PutTicket(t.Context(), "migration", uid, "app")
		require.NoError(t, err)
	}
	_, err := c.Checkpoint(t.Context(), checkpointRequest())
	require.NoError(t, err)

	require.NoError(t, n.sweep(time.Now()))
	require.DirExists(t, filepath.Join(n.options.Root, "gates", targetUID), "its pod may just be coming")
	require.NoError(t, n.sweep(time.Now().Add(settled+time.Second)))
	require.NoDirExists(t, filepath.Join(n.options.Root, "gates", targetUID))
	require.DirExists(t, filepath.Join(n.options.Root, "gates", sourceUID))
	_, err = c.GetTicket(t.Context(), targetUID, "app")
	requireRefused(t, err, http.StatusNotFound, "")
	_, err = c.GetTicket(t.Context(), sourceUID, "app")
	require.NoError(t, err)
	archives, err := os.ReadDir(n.options.Checkpoints)
	require.NoError(t, err)
	require.Len(t, archives, 1)
	require.NoError(t, n.sweep(time.Now().Add(retention+time.Minute)))
	archives, err = os.ReadDir(n.options.Checkpoints)
	require.NoError(t, err)
	require.Empty(t, archives)
}

// An agent that dies while the kubelet works leaves an archive that no record names.
func TestOrphanedArchiveGoesWithItsRecord(t *testing.T) {
	n := newNode(t, authority(t), prepared("source", sourceUID))
	foreign := filepath.Join(n.options.Checkpoints, "checkpoint-source_default-app-2020-01-01T00:00:00Z.tar")
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	then := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(foreign, then, then))
	require.NoError(t, n.records.put(record{CheckpointRequest: checkpointRequest(), Asked: time.Now().Truncate(time.Second)}))
	orphan := filepath.Join(n.options.Checkpoints, "checkpoint-source_default-app-2026-01-01T00:00:00Z.tar")
	require.NoError(t, os.WriteFile(orphan, nil, 0o600))
	require.NoError(t, n.controller(t).DeleteCheckpoints(t.Context(), "migration"))
	require.NoFileExists(t, orphan)
	require.FileExists(t, foreign, "others' checkpoints are none of ours")
}
