package pgtest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between clients and a server, and breaks their connections.
type Proxy struct {
	Port string // on 127.0.0.1

	server   string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	down  bool
	cut   Cut
	delay func() // before each commit
	conns map[net.Conn]bool
}

// Cut says what happens to the next commit.
type Cut uint8

// The cuts.
const (
	None   Cut = iota
	Before     // the connection breaks before the server has it
	After      // the server has it, and the connection breaks before its answer
)

// NewProxy returns a proxy before the address, which ends with the test.
func NewProxy(t testing.TB, address string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{server: address, listener: l, conns: map[net.Conn]bool{}}
	_, p.Port, _ = net.SplitHostPort(l.Addr().String())
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Break()
		p.running.Wait()
	})
	return p
}

// Break ends all connections and refuses new ones, until Mend.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// Mend lets connections through again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// CutCommit cuts the connection of the next commit of a transaction with a COPY.
func (p *Proxy) CutCommit(c Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = c
}

// BeforeCommit has do called before every commit of a transaction with a COPY; nil
// ends that.
func (p *Proxy) BeforeCommit(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = do
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil || !p.add(client, server) {
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		cut := make(chan Cut, 1)
		p.running.Go(func() { p.forward(client, server, cut) })
		p.running.Go(func() { p.back(client, server, cut) })
	}
}

func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
	return !p.down
}

func (p *Proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// forward carries what the client says. A commit is a message of its own, which
// nothing stands before: the client waits for its answer.
func (p *Proxy) forward(client, server net.Conn, cut chan<- Cut) {
	defer p.end(client, server)
	buf := make([]byte, 64<<10)
	for copied := false; ; {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		isQuery := buf[0] == 'Q' && n > len("Q----")
		if isQuery && bytes.HasPrefix(buf[len("Q----"):n], []byte("COPY")) {
			copied = true
		}
		if copied && isQuery && bytes.HasPrefix(buf[len("Q----"):n], []byte("commit")) {
			copied = false
			p.mu.Lock()
			how, delay := p.cut, p.delay
			p.cut = None
			p.mu.Unlock()
			if delay != nil {
				delay()
			}
			if how == Before {
				return
			}
			if how == After {
				cut <- how
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// back carries what the server says; the answer to a commit that is cut is lost.
func (p *Proxy) back(client, server net.Conn, cut <-chan Cut) {
	defer p.end(client, server)
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-cut:
			return
		default:
		}
		if _, err := io.Copy(client, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}
