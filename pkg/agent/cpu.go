package agent

import (
	"bufio"
	"fmt"
	"hash/fnv"
	goruntime "runtime"
	"slices"
	"strings"
)

// Features of processors that programs see and may come to depend on while they run: they look once, and a restored
// program does not look again. Prefixes of the kernel's names for them; what only kernels use is left out.
var programFeatures = map[string][]string{
	"amd64": {
		"3dnow", "abm", "adx", "aes", "amx", "avx", "bmi", "cldemote", "clflush", "clwb", "clzero", "cx16", "cx8", "cmov",
		"enqcmd", "erms", "f16c", "fma", "fpu", "fsgsbase", "fsrm", "fxsr", "gfni", "hle", "lahf_lm", "lzcnt", "mmx", "movbe",
		"movdir", "mpx", "pclmul", "pku", "pni", "popcnt", "rdpid", "rdrand", "rdseed", "rdtscp", "rtm", "serialize", "sha",
		"sm3", "sm4", "sse", "ssse", "tbm", "tsc", "vaes", "vpclmul", "waitpkg", "xop", "xsave", "xgetbv",
	},
	"arm64": {""}, // the kernel lists there what programs may use, and nothing else
}

// kernelOnly begin with a prefix of programFeatures but are no features of programs.
var kernelOnly = []string{"tsc_deadline_timer", "tsc_adjust", "tsc_known_freq", "tsc_reliable", "tsc_scale", "xsaves", "aesmask"}

// cpuFeatures reads /proc/cpuinfo; sorted. Features that not every processor has are left out.
func cpuFeatures(cpuinfo string) []string {
	var common []string
	lines := bufio.NewScanner(strings.NewReader(cpuinfo))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if key = strings.TrimSpace(key); key != "flags" && key != "Features" {
			continue
		}
		features := slices.DeleteFunc(strings.Fields(value), func(f string) bool { return !ofPrograms(f) })
		if common == nil {
			common = features
		} else if !slices.Equal(common, features) {
			common = slices.DeleteFunc(common, func(f string) bool { return !slices.Contains(features, f) })
		}
	}
	slices.Sort(common)
	return slices.Compact(common)
}

func ofPrograms(feature string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(feature, prefix) }
	return slices.ContainsFunc(programFeatures[goruntime.GOARCH], begins) && !slices.Contains(kernelOnly, feature)
}

// cpuClass names processors of the same features: pods move freely among nodes of one class.
func cpuClass(features []string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.Join(features, " ")))
	return fmt.Sprintf("%s-%08x", goruntime.GOARCH, h.Sum32())
}
