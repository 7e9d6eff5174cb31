package broker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// memoryLimit of the broker, which sees the whole machine's memory.
const memoryLimit = 1 << 30

// RaiseAlarm lets the broker believe that its memory is full: it blocks whoever publishes.
func (b *Broker) RaiseAlarm(ctx context.Context) error { return b.limitMemory(ctx, "0.0") }

// ClearAlarm takes it back.
func (b *Broker) ClearAlarm(ctx context.Context) error {
	return b.limitMemory(ctx, fmt.Sprintf("{absolute,%d}", memoryLimit))
}

func (b *Broker) limitMemory(ctx context.Context, limit string) error {
	out, err := b.call(ctx, "vm_memory_monitor", "set_vm_memory_high_watermark", limit)
	if err == nil && string(out) != "ok" {
		err = fmt.Errorf("it answered %s", out)
	}
	if err != nil {
		return fmt.Errorf("limiting the memory of RabbitMQ: %w", err)
	}
	return nil
}

// call a function of the broker's Erlang. rabbitmqctl would do, but takes seconds to start.
func (b *Broker) call(ctx context.Context, module, function, argument string) ([]byte, error) {
	cookie, err := os.ReadFile(filepath.Join(b.folder, dataFolder, ".erlang.cookie"))
	if err != nil {
		return nil, err
	}
	address := "127.0.0.1:" + strconv.Itoa(b.ports.distribution)
	cmd := exec.CommandContext(ctx, "/usr/bin/erl_call", "-address", address, "-c", string(cookie),
		"-a", fmt.Sprintf("%s %s [%s]", module, function, argument))
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: b.root}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("calling Erlang: %w\n%s", err, out)
	}
	return bytes.TrimSpace(out), nil
}
