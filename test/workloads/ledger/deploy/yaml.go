package deploy

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// YAML writes objects as kubectl reads them, without the status that nobody has given them yet.
func YAML(objects ...client.Object) ([]byte, error) {
	var documents [][]byte
	for _, object := range objects {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return nil, fmt.Errorf("converting %s: %w", object.GetName(), err)
		}
		delete(fields, "status")
		document, err := yaml.Marshal(fields)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", object.GetName(), err)
		}
		documents = append(documents, document)
	}
	return bytes.Join(documents, []byte("---\n")), nil
}
