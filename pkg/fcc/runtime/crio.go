package runtime

// ofCRIO are CRI-O's annotations in place of containerd's. No user can set either: containerd hands only those of the
// pod's annotations on that its configuration names, ms2m.dev/*. CRI-O hands all of them on, those with containerd's
// names too, but sets its own after them: where they are, they decide.
var ofCRIO = map[string]string{
	annotationType:   "io.kubernetes.cri-o.ContainerType",
	annotationName:   "io.kubernetes.container.name",
	annotationPodUID: "io.kubernetes.pod.uid",
}

// byCRIO tells whether CRI-O made a container with these annotations.
func byCRIO(annotations map[string]any) bool {
	_, ok := annotations[ofCRIO[annotationType]]
	return ok
}

// annotationOf finds an annotation by the name that it has with containerd.
func annotationOf(annotations map[string]any, key string) string {
	if own, ok := ofCRIO[key]; ok && byCRIO(annotations) {
		key = own
	}
	v, _ := annotations[key].(string)
	return v
}
