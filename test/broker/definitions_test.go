package broker

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestUsersAreTheClusters: what may be done here may be done there.
func TestUsersAreTheClusters(t *testing.T) {
	manifests, err := os.ReadFile("../cluster/manifests/rabbitmq.yaml")
	require.NoError(t, err)
	for d := yaml.NewDecoder(bytes.NewReader(manifests)); ; {
		var secret struct {
			StringData map[string]string `yaml:"stringData"`
		}
		err := d.Decode(&secret)
		require.False(t, errors.Is(err, io.EOF), "the manifests hold the broker's definitions")
		require.NoError(t, err)
		if theirs, ok := secret.StringData["definitions.json"]; ok {
			require.JSONEq(t, theirs, string(definitions))
			return
		}
	}
}
