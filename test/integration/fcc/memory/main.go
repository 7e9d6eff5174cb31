// Command memory is the service that the tests move: its state is a counter and a ballast that every request changes,
// both in memory only. It has written a file and deleted another, holds an open file and keeps a TCP connection to a
// broker's port, which the runtime wrapper redirects to the port where it listens in the gate's place.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// state is served as JSON.
type state struct {
	Instance string `json:"instance"` // random, made at the start: a fresh start has another
	Count    uint64 `json:"count"`
	Sum      string `json:"sum"`     // SHA-256 of the ballast
	Written  string `json:"written"` // content of the written file
	Deleted  bool   `json:"deleted"` // the deleted file is gone
	IOUring  string `json:"ioUring"` // error of io_uring_setup
	MPTCP    string `json:"mptcp"`   // net.mptcp.enabled of the pod
	// Dialled counts connections to the broker, Redirected those that came to the gate's port instead.
	Dialled    int `json:"dialled"`
	Redirected int `json:"redirected"`
}

type service struct {
	mu      sync.Mutex
	state   state
	ballast []byte
	open    *os.File
}

func main() {
	mebibytes := flag.Int("mebibytes", 64, "size of the ballast")
	broker := flag.String("broker", "", "address to hold a connection to")
	undumpable := flag.Bool("undumpable", false, "hold a descriptor that CRIU cannot dump")
	gate := flag.String("gate", "", "only answer for a gate, at this unix socket")
	flag.Parse()
	if *gate != "" {
		serveGate(*gate)
	}
	if *undumpable {
		const userfaultfd, userModeOnly = 323, 1
		if _, _, errno := syscall.Syscall(userfaultfd, userModeOnly, 0, 0); errno != 0 {
			log.Fatal("userfaultfd: ", errno)
		}
	}
	s := newService(*mebibytes)
	if *broker != "" {
		go s.accept()
		go s.hold(*broker)
	}
	http.HandleFunc("/", s.serve)
	log.Println("started", s.state.Instance)
	log.Fatal(http.ListenAndServe(":8080", nil)) //nolint:gosec // a test's service
}

func newService(mebibytes int) *service {
	s := &service{ballast: make([]byte, mebibytes<<20)}
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	_, _ = rand.Read(s.ballast)
	s.state.Instance = fmt.Sprintf("%x", id)
	const ioUringSetup = 425
	var params [120]byte
	_, _, errno := syscall.Syscall(ioUringSetup, 1, uintptr(unsafe.Pointer(&params)), 0)
	s.state.IOUring = errno.Error()
	b, _ := os.ReadFile("/proc/sys/net/mptcp/enabled")
	s.state.MPTCP = strings.TrimSpace(string(b))
	if err := os.WriteFile("/written", []byte(s.state.Instance), 0o640); err != nil {
		log.Fatal(err)
	}
	s.open, _ = os.Open("/written")
	_ = os.WriteFile("/deleted", nil, 0o600)
	_ = os.Remove("/deleted")
	return s
}

// serveGate answers as the gate does, where the agent of the node looks for it.
func serveGate(socket string) {
	_ = os.Remove(socket)
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/v1/status", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"mode":"Open"}`) })
	log.Fatal(http.Serve(l, nil)) //nolint:gosec // a test's service
}

// accept connections at the gate's port.
func (s *service) accept() {
	l, err := net.Listen("tcp", ":45672") //nolint:gosec // in a pod
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		s.mu.Lock()
		s.state.Redirected++
		s.mu.Unlock()
		go func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() }()
	}
}

// hold a connection to the broker, as a client does.
func (s *service) hold(broker string) {
	for {
		if c, err := net.DialTimeout("tcp", broker, time.Second); err == nil {
			s.mu.Lock()
			s.state.Dialled++
			s.mu.Unlock()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// serve answers the state; POST changes it first.
func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPost {
		s.state.Count++
		at := int(s.state.Count*4096) % (len(s.ballast) - 8)
		binary.LittleEndian.PutUint64(s.ballast[at:], s.state.Count)
	}
	s.state.Sum = fmt.Sprintf("%x", sha256.Sum256(s.ballast))
	b := make([]byte, 100)
	n, _ := s.open.ReadAt(b, 0)
	s.state.Written = string(b[:n])
	_, err := os.Stat("/deleted")
	s.state.Deleted = os.IsNotExist(err)
	_ = json.NewEncoder(w).Encode(s.state)
}
