package build

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// debootstrapProgram carries the name of Debian's own mirror, for hosts whose apt has none, as Ubuntu's.
const debootstrapProgram = "/usr/sbin/debootstrap"

var debianSuites = []string{"stable", "testing", "oldstable", "bullseye", "bookworm", "trixie", "forky", "sid", "unstable"}

// source is one entry of apt's configuration.
type source struct {
	uris, suites, components []string
	signedBy                 string
	disabled                 bool
}

// Mirror is the Debian mirror that apt on this host uses, if that carries the suites, else debootstrap's.
func Mirror(ctx context.Context, suites ...string) (string, error) {
	mirror := mirrorOf("/etc/apt")
	lacks := func(suite string) bool { return !carries(ctx, mirror, suite) }
	if mirror != "" && !slices.ContainsFunc(suites, lacks) {
		return mirror, nil
	}
	return debootstrapMirror(debootstrapProgram)
}

// debootstrapMirror reads the mirror that debootstrap takes when it is not given one.
func debootstrapMirror(program string) (string, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("looking for a Debian mirror: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if mirror, ok := strings.CutPrefix(strings.TrimSpace(line), "DEF_MIRROR="); ok {
			if mirror = strings.Trim(mirror, `"'`); strings.HasSuffix(mirror, "/debian") {
				return mirror, nil
			}
		}
	}
	return "", fmt.Errorf("looking for a Debian mirror: neither apt nor %s names one; add one to /etc/apt/sources.list.d", program)
}

func carries(ctx context.Context, mirror, suite string) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, mirror+"/dists/"+suite+"/Release", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// mirrorOf is empty when apt has no mirror of Debian.
func mirrorOf(aptDir string) string {
	deb822, _ := filepath.Glob(filepath.Join(aptDir, "sources.list.d", "*.sources"))
	oneLine, _ := filepath.Glob(filepath.Join(aptDir, "sources.list.d", "*.list"))
	oneLine = append([]string{filepath.Join(aptDir, "sources.list")}, oneLine...)
	var sources []source
	for _, file := range oneLine {
		sources = append(sources, parseFile(file, parseList)...)
	}
	for _, file := range deb822 {
		sources = append(sources, parseFile(file, parseDeb822)...)
	}
	for _, s := range sources {
		if uri := s.debianMirror(); uri != "" {
			return uri
		}
	}
	return ""
}

func parseFile(file string, parse func(string) []source) []source {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil // absent, or not for us to read: there are others
	}
	return parse(string(content))
}

// debianMirror is the entry's URI if it is a mirror of Debian's main archive. Third parties use Debian's suite names
// too, so the URI or the signing key must say that it is Debian.
func (s source) debianMirror() string {
	isDebian := func(suite string) bool { return slices.Contains(debianSuites, suite) }
	if s.disabled || !slices.ContainsFunc(s.suites, isDebian) || !slices.Contains(s.components, "main") {
		return ""
	}
	for _, uri := range s.uris {
		uri = strings.TrimRight(uri, "/")
		overHTTP := strings.HasPrefix(uri, "http://") || strings.HasPrefix(uri, "https://")
		named := strings.HasSuffix(uri, "/debian") || strings.Contains(s.signedBy, "debian-archive-keyring")
		if overHTTP && named {
			return uri
		}
	}
	return ""
}

// parseList reads apt's one-line format: deb [options] uri suite component...
func parseList(content string) []source {
	var sources []source
	for line := range strings.Lines(content) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var s source
		if options, after, found := strings.Cut(rest, "]"); found && strings.HasPrefix(strings.TrimSpace(options), "[") {
			rest = after
			for _, option := range strings.Fields(strings.Trim(options, " [")) {
				if value, ok := strings.CutPrefix(option, "signed-by="); ok {
					s.signedBy = value
				}
			}
		}
		if words := strings.Fields(rest); len(words) > 2 {
			s.uris, s.suites, s.components = words[:1], words[1:2], words[2:]
			sources = append(sources, s)
		}
	}
	return sources
}

// parseDeb822 reads apt's stanza format.
func parseDeb822(content string) []source {
	var sources []source
	for stanza := range strings.SplitSeq(strings.ReplaceAll(content, "\r\n", "\n"), "\n\n") {
		fields := deb822Fields(stanza)
		if !slices.Contains(strings.Fields(fields["types"]), "deb") {
			continue
		}
		sources = append(sources, source{
			uris:       strings.Fields(fields["uris"]),
			suites:     strings.Fields(fields["suites"]),
			components: strings.Fields(fields["components"]),
			signedBy:   fields["signed-by"],
			disabled:   strings.EqualFold(strings.TrimSpace(fields["enabled"]), "no"),
		})
	}
	return sources
}

// deb822Fields reads one stanza; names are lower-cased, continuation lines joined.
func deb822Fields(stanza string) map[string]string {
	fields, name := map[string]string{}, ""
	lines := bufio.NewScanner(strings.NewReader(stanza))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "), strings.HasPrefix(line, "\t"):
			fields[name] += " " + line
		default:
			key, value, _ := strings.Cut(line, ":")
			name = strings.ToLower(strings.TrimSpace(key))
			fields[name] = value
		}
	}
	return fields
}
