package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

const (
	// lookAnew is the time between two looks at a node that is not ready, lookAgain at one that is.
	lookAnew  = time.Second
	lookAgain = 20 * time.Second
)

// nodeLabels are all that the agent writes.
var nodeLabels = []string{
	v1alpha1.LabelNodeReady, v1alpha1.LabelNodeCRIU, v1alpha1.LabelNodeKernel, v1alpha1.LabelNodeRuntime, v1alpha1.LabelNodeCPU,
}

// labelOften keeps the node's labels as the node is, until the context is done.
func (a *Agent) labelOften(ctx context.Context) {
	var last string
	for {
		report := a.report(ctx)
		wait := lookAgain
		if len(report.Problems) > 0 {
			wait = lookAnew
		}
		if err := a.label(ctx, report); err != nil && ctx.Err() == nil {
			a.log.Warn("labelling node failed", "error", err)
			wait = lookAnew
		} else if problems := strings.Join(report.Problems, "; "); problems != last {
			a.log.Info("node's fitness changed", "ready", problems == "", "problems", problems)
			last = problems
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// label writes what a report says, where it differs from what the node has.
func (a *Agent) label(ctx context.Context, report client.Node) error {
	node, err := a.kube.CoreV1().Nodes().Get(ctx, a.options.NodeName, metav1.GetOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("reading node: %w", err)
	}
	labels := map[string]any{}
	for key, want := range labelsOf(report, node.Status.NodeInfo) {
		if has, ok := node.Labels[key]; want == "" && ok {
			labels[key] = nil
		} else if want != "" && has != want {
			labels[key] = want
		}
	}
	annotations := map[string]any{}
	if problems := strings.Join(report.Problems, "; "); node.Annotations[v1alpha1.AnnotationNodeProblems] != problems {
		annotations[v1alpha1.AnnotationNodeProblems] = problems
		if problems == "" {
			annotations[v1alpha1.AnnotationNodeProblems] = nil
		}
	}
	return a.patchNode(ctx, labels, annotations)
}

// unlabel takes off all that label wrote.
func (a *Agent) unlabel(ctx context.Context) error {
	labels := map[string]any{}
	for _, key := range nodeLabels {
		labels[key] = nil
	}
	return a.patchNode(ctx, labels, map[string]any{v1alpha1.AnnotationNodeProblems: nil})
}

func (a *Agent) patchNode(ctx context.Context, labels, annotations map[string]any) error {
	if len(labels)+len(annotations) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}})
	if err != nil {
		return fmt.Errorf("encoding labels: %w", err)
	}
	if _, err := a.kube.CoreV1().Nodes().Patch(ctx, a.options.NodeName, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("patching node: %w", err)
	}
	return nil
}

// labelsOf a report; an empty value means no label.
func labelsOf(report client.Node, info corev1.NodeSystemInfo) map[string]string {
	labels := map[string]string{}
	for _, key := range nodeLabels {
		labels[key] = ""
	}
	maps.Copy(labels, map[string]string{
		v1alpha1.LabelNodeReady:   strconv.FormatBool(len(report.Problems) == 0),
		v1alpha1.LabelNodeCRIU:    labelValue(report.CRIU),
		v1alpha1.LabelNodeKernel:  labelValue(info.KernelVersion),
		v1alpha1.LabelNodeRuntime: labelValue(strings.Replace(info.ContainerRuntimeVersion, "://", "-", 1)),
		v1alpha1.LabelNodeCPU:     report.CPUClass,
	})
	return labels
}

var unlabelled = regexp.MustCompile(`[^-A-Za-z0-9_.]+`)

// labelValue makes a version the value of a label.
func labelValue(version string) string {
	const longest = 63
	v := unlabelled.ReplaceAllString(version, "-")
	return strings.Trim(v[:min(len(v), longest)], "-_.")
}
