package build

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// defaultMirror is used where apt is not set up with a Debian mirror, as on Ubuntu.
const defaultMirror = "http://deb.debian.org/debian"

var debianSuites = []string{"stable", "testing", "oldstable", "bullseye", "bookworm", "trixie", "forky", "sid", "unstable"}

// source is one entry of apt's configuration.
type source struct {
	uris, suites, components []string
	signedBy                 string
	disabled                 bool
}

// Mirror is the Debian mirror that apt on this host uses, if that carries the suites, else Debian's own.
func Mirror(ctx context.Context, suites ...string) string {
	mirror := mirrorOf("/etc/apt")
	for _, suite := range suites {
		if !carries(ctx, mirror, suite) {
			return defaultMirror
		}
	}
	return mirror
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
	return defaultMirror
}

func parseFile(file string, parse func(string) []source) []source {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil // absent, or not for us to read: the default will do
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
