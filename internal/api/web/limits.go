package web

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
)

// Limits bound what callers can ask of a server. A limit of 0 is the default.
type Limits struct {
	Connections int           // open connections; more are closed at once: 20,000
	Streams     int           // HTTP/2 streams of one connection: 100
	Header      int           // bytes of a request's header: 16 KiB
	BodyMemory  int64         // bytes of all bodies under way together: 256 MiB
	HeaderWait  time.Duration // for a handshake, which 5,000 senders may begin at once, and for a request's header: 20 s
	Progress    time.Duration // in which 64 KiB of a body must come, or a part of an answer be taken: 30 s
	Answer      time.Duration // in which a short answer must be written, counted from the header: 60 s
	Idle        time.Duration // of a connection between requests: 3 min
	Linger      time.Duration // in which callers are told to open another connection, and then for those who just did: 1 s
	Drain       time.Duration // for requests under way when the server ends: 10 s
}

func (l Limits) withDefaults() Limits {
	Default(&l.Connections, 20_000)
	Default(&l.Streams, 100)
	Default(&l.Header, 16<<10)
	Default(&l.BodyMemory, 256<<20)
	Default(&l.HeaderWait, 20*time.Second)
	Default(&l.Progress, 30*time.Second)
	Default(&l.Answer, 60*time.Second)
	Default(&l.Idle, 3*time.Minute)
	Default(&l.Linger, time.Second)
	Default(&l.Drain, 10*time.Second)
	return l
}

// Default sets a limit that is not above 0 to its default.
func Default[T int | int64 | time.Duration](limit *T, fallback T) {
	if *limit <= 0 {
		*limit = fallback
	}
}

// usage counts what is limited over all requests.
type usage struct {
	connections    atomic.Int64
	fresh          atomic.Int64 // connections without their first request
	maxConnections int64
	memory         atomic.Int64 // bytes of bodies under way
	maxMemory      int64
}

// follow counts the connections that have not had their first request. It is told
// each change of a connection's state.
func (u *usage) follow(c net.Conn, state http.ConnState) {
	over, ok := c.(*tls.Conn)
	if !ok {
		return
	}
	conn, ok := over.NetConn().(*countedConn)
	switch {
	case !ok:
	case state == http.StateNew:
		conn.fresh.Store(true)
		u.fresh.Add(1)
	case conn.fresh.Swap(false):
		u.fresh.Add(-1)
	}
}

// take reserves n bytes for a body, and give returns them.
func (u *usage) take(n int64) error {
	if u.memory.Add(n) <= u.maxMemory {
		return nil
	}
	u.memory.Add(-n)
	return penstock.RetryLater(penstock.Unavailable, time.Second, "The gateway has too many bodies under way.")
}

func (u *usage) give(n int64) { u.memory.Add(-n) }
