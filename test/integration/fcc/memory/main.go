// Command memory is the service that the tests move: its state is a counter and a ballast that every request changes,
// both in memory only. It also holds a file that it wrote, has deleted one of its image, and keeps a TCP connection.
package main

import (
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
	"sync"
	"time"
)

// state is served as JSON.
type state struct {
	Instance string `json:"instance"` // random, made at the start: a fresh start has another
	Count    uint64 `json:"count"`
	Sum      string `json:"sum"`    // SHA-256 of the ballast
	Dialled  int    `json:"dialled"` // connections made to the peer
	Written  string `json:"written"` // content of the written file
	Deleted  bool   `json:"deleted"` // the image's file is gone
}

type service struct {
	mu      sync.Mutex
	state   state
	ballast []byte
}

func main() {
	mebibytes := flag.Int("mebibytes", 64, "size of the ballast")
	peer := flag.String("peer", "", "address to hold a connection to")
	listen := flag.String("listen", ":8080", "address to serve at")
	flag.Parse()
	s := &service{ballast: make([]byte, *mebibytes<<20)}
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	_, _ = rand.Read(s.ballast)
	s.state.Instance = fmt.Sprintf("%x", id)
	if err := os.WriteFile("/written", []byte(s.state.Instance), 0o640); err != nil {
		log.Fatal(err)
	}
	_ = os.Remove("/image-file")
	if *peer != "" {
		go s.hold(*peer)
	}
	http.HandleFunc("/", s.serve)
	log.Println("started", s.state.Instance)
	log.Fatal(http.ListenAndServe(*listen, nil)) //nolint:gosec // a test's service
}

// hold keeps a connection to the peer, as a client of a broker does.
func (s *service) hold(peer string) {
	for {
		if c, err := net.Dial("tcp", peer); err == nil {
			s.mu.Lock()
			s.state.Dialled++
			s.mu.Unlock()
			_, _ = io.Copy(io.Discard, c)
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
	b, _ := os.ReadFile("/written")
	s.state.Written = string(b)
	_, err := os.Stat("/image-file")
	s.state.Deleted = os.IsNotExist(err)
	_ = json.NewEncoder(w).Encode(s.state)
}
