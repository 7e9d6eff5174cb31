package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// way to get an archive from one end of the link to the other.
type way struct {
	name string
	// send takes the archive once.
	send func(ctx context.Context, b *bench, archive string, round int) error
}

// ways in the order in which they are measured, one after the other in each round.
var ways = []way{
	{"direct", direct}, {"rsync", rsync}, {"scp", scp}, {"image", throughRegistry},
}

// direct is the agents' stream: both sides authenticated, encrypted, unpacked while it comes, digest verified.
func direct(ctx context.Context, b *bench, archive string, round int) error {
	out, err := output(self(ctx, source, "send", "--dir", b.dir, "--file", archive, "--pod", fmt.Sprintf("pod-%d-%d", round, time.Now().UnixNano())))
	if err != nil {
		return err
	}
	peak, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	b.senderPeak = max(b.senderPeak, peak)
	return err
}

// rsync copies to a daemon, without encryption and without looking for differences.
func rsync(ctx context.Context, b *bench, archive string, round int) error {
	return run(at(ctx, source, "rsync", "--whole-file", archive, fmt.Sprintf("rsync://%s:%s/copies/%d", targetIP, rsyncPort, round)))
}

// scp copies by SSH, with the cipher that these processors are quickest at.
func scp(ctx context.Context, b *bench, archive string, round int) error {
	return run(at(ctx, source, "scp", "-q", "-c", "aes128-gcm@openssh.com", "-P", sshPort, "-i", b.path("user"),
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", archive, fmt.Sprintf("root@%s:%s/%d", targetIP, b.path("copies"), round)))
}

// throughRegistry is the published way: build an image of the archive, push it, pull and unpack it on the other side. The
// registry is at the target's end, so that the image crosses the link once.
func throughRegistry(ctx context.Context, b *bench, archive string, round int) error {
	image := fmt.Sprintf("%s:%s/checkpoint:%d", targetIP, registryPort, time.Now().UnixNano())
	if err := run(self(ctx, source, "push", "--file", archive, "--image", image)); err != nil {
		return err
	}
	folder := b.path(fmt.Sprintf("copies/image-%d", round))
	return run(self(ctx, target, "pull", "--image", image, "--folder", folder))
}

// measure all ways at a size, and return the medians.
func (b *bench) measure(ctx context.Context, mebibytes, rounds int) (row, error) {
	r := row{MiB: mebibytes, Seconds: map[string]float64{}, Bytes: map[string]int64{}}
	archive := b.path("archive.tar")
	if err := writeArchive(archive, mebibytes); err != nil {
		return r, err
	}
	seconds := map[string][]float64{}
	for round := range rounds {
		for _, w := range ways {
			before, err := sent(ctx)
			if err != nil {
				return r, err
			}
			began := time.Now()
			if err := w.send(ctx, b, archive, round); err != nil {
				return r, fmt.Errorf("%s: %w", w.name, err)
			}
			seconds[w.name] = append(seconds[w.name], time.Since(began).Seconds())
			after, err := sent(ctx)
			if err != nil {
				return r, err
			}
			r.Bytes[w.name] = after - before
			if err := b.clear(); err != nil {
				return r, err
			}
		}
	}
	for name, s := range seconds {
		r.Seconds[name] = median(s)
	}
	r.SenderMiB = b.senderPeak
	var err error
	r.ReceiverMiB, err = peakMemory(strconv.Itoa(b.servers[0].Process.Pid))
	return r, err
}

// sent is the number of bytes that left the source's end so far.
func sent(ctx context.Context) (int64, error) {
	out, err := output(at(ctx, source, "cat", "/sys/class/net/eth0/statistics/tx_bytes"))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(out), 10, 64)
}

// clear removes what a way has left, so that the next finds the disk as it was.
func (b *bench) clear() error {
	for _, folder := range []string{"copies", "agent", "registry"} {
		entries, err := os.ReadDir(b.path(folder))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.RemoveAll(b.path(folder + "/" + e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
