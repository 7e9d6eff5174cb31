package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/kubelet"
)

// checkpointTakes bounds a checkpoint; the kubelet gives its runtime two minutes.
const checkpointTakes = 150 * time.Second

func (a *Agent) checkpoint(r *http.Request) (any, error) {
	var in client.CheckpointRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if err := checkNames(in.Container, in.Migration, in.PodUID); err != nil {
		return nil, err
	}
	// Once the kubelet is asked its archive is recorded, even if the asker has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), checkpointTakes)
	defer cancel()
	defer a.records.lock(in.PodUID, in.Container)()
	known, err := a.records.get(in.Migration, in.PodUID, in.Container)
	if err != nil {
		return nil, err
	}
	if known != nil && known.Checkpoint != nil {
		return *known.Checkpoint, nil
	}
	if err := a.mayCheckpoint(ctx, in); err != nil {
		return nil, err
	}
	rec := record{CheckpointRequest: in, Asked: time.Now().Truncate(time.Second)}
	if known != nil {
		rec.Asked = known.Asked
	}
	if err := a.records.put(rec); err != nil {
		return nil, err
	}
	return a.askKubelet(ctx, rec)
}

// mayCheckpoint lets only containers of prepared pods of this node be read out.
func (a *Agent) mayCheckpoint(ctx context.Context, in client.CheckpointRequest) error {
	pod, err := a.pods.named(ctx, in.Namespace, in.Pod)
	if errors.Is(err, errNoPod) {
		return problem(http.StatusNotFound, "checkpointing pod %s/%s: %w", in.Namespace, in.Pod, err)
	}
	if err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return problem(http.StatusConflict, "checkpointing pod %s/%s: "+format, append([]any{in.Namespace, in.Pod}, args...)...)
	}
	switch {
	case string(pod.UID) != in.PodUID:
		return refuse("it has UID %s, not %s: the pod that was meant is gone", pod.UID, in.PodUID)
	case pod.Spec.NodeName != a.options.NodeName:
		return refuse("it is on node %q, not on this agent's node %s", pod.Spec.NodeName, a.options.NodeName)
	case !isPrepared(pod):
		return refuse("it is not prepared for migration: set the label %s and recreate it", v1alpha1.LabelMigratable)
	case in.Container == v1alpha1.GateContainer || !hasContainer(pod, in.Container):
		return refuse("it has no app container %s", in.Container)
	}
	return nil
}

func hasContainer(pod *corev1.Pod, name string) bool {
	for _, c := range pod.Spec.Containers {
		if c.Name == name {
			return true
		}
	}
	return false
}

// askKubelet makes the checkpoint and completes its record.
func (a *Agent) askKubelet(ctx context.Context, rec record) (any, error) {
	// What an agent that died left behind here would only fill the disk.
	orphans, err := a.records.orphans(rec)
	if err != nil {
		return nil, err
	}
	for _, o := range orphans {
		_ = os.Remove(o)
	}
	started := time.Now()
	path, err := a.kubelet.Checkpoint(ctx, rec.Namespace, rec.Pod, rec.Container)
	var refused *kubelet.Error
	if errors.As(err, &refused) {
		return nil, problem(http.StatusBadGateway, "%w", err)
	}
	if err != nil {
		return nil, err
	}
	finished := time.Now()
	// The kubelet tells the path on the node; the folder may be mounted elsewhere here.
	rec.Archive = a.records.archive(rec)
	if err := os.Rename(filepath.Join(a.options.Checkpoints, filepath.Base(path)), rec.Archive); err != nil {
		return nil, fmt.Errorf("taking over archive: %w", err)
	}
	info, err := os.Stat(rec.Archive)
	if err != nil {
		return nil, fmt.Errorf("taking over archive: %w", err)
	}
	rec.Checkpoint = &client.Checkpoint{Bytes: info.Size(), Started: started, Finished: finished}
	if err := a.records.put(rec); err != nil {
		return nil, err
	}
	a.metrics.checkpointSeconds.Observe(finished.Sub(started).Seconds())
	a.metrics.archiveBytes.Observe(float64(info.Size()))
	a.log.Info("container checkpointed", "migration", rec.Migration, "pod", rec.Pod, "namespace", rec.Namespace,
		"container", rec.Container, "bytes", info.Size(), "seconds", finished.Sub(started).Seconds())
	return *rec.Checkpoint, nil
}

func (a *Agent) deleteCheckpoints(r *http.Request) (any, error) {
	migration := r.PathValue("migration")
	if err := fcc.CheckIDs(migration); err != nil {
		return nil, problem(http.StatusBadRequest, "reading request: %w", err)
	}
	found, err := a.records.all(migration)
	if err != nil {
		return nil, err
	}
	for _, rec := range found {
		err = errors.Join(err, a.removeCheckpoint(rec))
	}
	return none{}, err
}

func (a *Agent) removeCheckpoint(rec record) error {
	defer a.records.lock(rec.PodUID, rec.Container)()
	// It may have been completed while this waited.
	now, err := a.records.get(rec.Migration, rec.PodUID, rec.Container)
	if err != nil || now == nil {
		return err
	}
	if now.Checkpoint == nil {
		// An agent died while the kubelet was at it, and its call was broken off.
		if err := fcc.RequestThaw(a.options.Root, now.PodUID, now.Container); err != nil {
			return err
		}
	}
	return a.records.remove(*now)
}
