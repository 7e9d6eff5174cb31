package build

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMirror(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"deb822": {
			files: map[string]string{"sources.list.d/debian.sources": `Types: deb
# a comment
URIs: http://mirror.example.org/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
`},
			want: "http://mirror.example.org/debian",
		},
		"one line with options": {
			files: map[string]string{"sources.list": `# deb http://commented.example.org/debian trixie main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https://proxy.example.org/apt trixie main contrib
`},
			want: "https://proxy.example.org/apt",
		},
		"source packages and disabled entries do not count": {
			files: map[string]string{
				"sources.list":                  "deb-src http://a.example.org/debian trixie main\n",
				"sources.list.d/debian.sources": "Types: deb\nEnabled: no\nURIs: http://b.example.org/debian\nSuites: trixie\nComponents: main\n",
			},
		},
		"third parties use Debian's suite names": {
			files: map[string]string{
				"sources.list.d/docker.list": "deb [signed-by=/etc/apt/keyrings/docker.asc] https://download.example.org/linux/debian bookworm stable\n",
				"sources.list.d/vendor.list": "deb [signed-by=/etc/apt/keyrings/vendor.asc] https://apt.vendor.example bookworm main\n",
			},
		},
		"Ubuntu": {
			files: map[string]string{"sources.list.d/ubuntu.sources": "Types: deb\nURIs: http://archive.example.org/ubuntu/\nSuites: noble noble-updates\nComponents: main universe\n"},
		},
		"a mirror list is no mirror": {
			files: map[string]string{"sources.list": "deb mirror+file:/etc/apt/mirrors/debian.list trixie main\n"},
		},
		"nothing": {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range test.files {
				path := filepath.Join(dir, file)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
			}
			require.Equal(t, test.want, mirrorOf(dir))
		})
	}
}

func TestDebootstrapMirror(t *testing.T) {
	program := filepath.Join(t.TempDir(), "debootstrap")
	write := func(content string) { require.NoError(t, os.WriteFile(program, []byte(content), 0o755)) }

	write("#!/bin/sh\nARCH=\"\"\nDEF_MIRROR=\"http://mirror.example.org/debian\"\nDEF_HTTPS_MIRROR=\"https://mirror.example.org/debian\"\n")
	mirror, err := debootstrapMirror(program)
	require.NoError(t, err)
	require.Equal(t, "http://mirror.example.org/debian", mirror)

	write("DEF_MIRROR=\"http://archive.example.org/ubuntu\"\n")
	_, err = debootstrapMirror(program)
	require.ErrorContains(t, err, "names one; add one to /etc/apt/sources.list.d")
}
