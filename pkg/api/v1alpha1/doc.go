// Package v1alpha1 is the API of ms2m-descheduler: the Migration resource, and the names (labels, annotations,
// conditions) by which its parts and its users refer to the same things.
//
// +kubebuilder:object:generate=true
// +groupName=ms2m.dev
package v1alpha1
