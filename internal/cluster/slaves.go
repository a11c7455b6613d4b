package cluster

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Slaves are Modbus devices. A register holds how often it was read, so that no two
// reads give the same.
type Slaves struct {
	listeners []net.Listener
	reads     []atomic.Int64
	work      sync.WaitGroup

	mu    sync.Mutex // guards what follows
	over  bool
	conns map[net.Conn]bool
}

func newSlaves(t testing.TB, count int) *Slaves {
	t.Helper()
	s := &Slaves{reads: make([]atomic.Int64, count), conns: map[net.Conn]bool{}}
	t.Cleanup(s.close)
	for i := range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.listeners = append(s.listeners, l)
		s.work.Go(func() { s.accept(l, &s.reads[i]) })
	}
	return s
}

// leased returns how many of the devices one gateway polls at a time.
func (s *Slaves) leased() int { return len(s.reads) / 2 }

// Name returns the controller's name of a device: what begins with "slave-leased" is
// polled by one gateway at a time.
func (s *Slaves) Name(i int) string {
	if i < s.leased() {
		return fmt.Sprint("slave-leased-", i+1)
	}
	return fmt.Sprint("slave-shared-", i+1)
}

// Address returns where a device answers.
func (s *Slaves) Address(i int) string { return s.listeners[i].Addr().String() }

// Reads returns how often the devices were read, of both kinds.
func (s *Slaves) Reads() (leased, shared int64) {
	for i := range s.reads {
		if i < s.leased() {
			leased += s.reads[i].Load()
		} else {
			shared += s.reads[i].Load()
		}
	}
	return leased, shared
}

func (s *Slaves) accept(l net.Listener, reads *atomic.Int64) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		over := s.over
		s.conns[c] = true
		s.mu.Unlock()
		if over {
			c.Close()
		}
		s.work.Go(func() {
			serve(c, reads)
			c.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.conns, c)
		})
	}
}

// serve answers requests for one holding register over Modbus TCP, until the
// connection ends.
func serve(c net.Conn, reads *atomic.Int64) {
	var request [12]byte // transaction, protocol, length, unit, function, address, count
	for {
		if _, err := io.ReadFull(c, request[:]); err != nil {
			return
		}
		answer := append(request[:4:4], 0, 5) // length
		answer = append(answer, request[6], request[7], 2)
		answer = binary.BigEndian.AppendUint16(answer, uint16(reads.Add(1)))
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func (s *Slaves) close() {
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Lock()
	s.over = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}
