package mqttbroker_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// soakTime is how long the soak runs; the long form is for make torture.
func soakTime() time.Duration {
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		return time.Minute
	}
	return 2 * time.Second
}

// TestSoak has subscribers of QoS 1 that come and go, with and without a session,
// beside publishers of retained messages: the race detector looks on, and nothing
// that was accepted is missing.
func TestSoak(t *testing.T) {
	st := newStand(t, options{})
	end := time.Now().Add(soakTime())
	var work, readers sync.WaitGroup
	var published, delivered atomic.Int64
	var over atomic.Bool
	for i := range 4 {
		work.Go(func() {
			p := connect(t, st.address, wire.Connect{CleanStart: true})
			for seq := 1; !over.Load(); seq++ {
				id := fmt.Sprint("pump-", i)
				p.publishMessage(wire.Message{Topic: "reports/" + id, QoS: 1, Retain: seq%3 == 0, Payload: []byte(reportText(id, seq))})
				p.ack(wire.PUBACK)
				published.Add(1)
			}
			p.disconnect()
		})
	}
	for i := range 6 {
		readers.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				p := connect(t, st.address, wire.Connect{
					ClientID: fmt.Sprint("reader-", i), CleanStart: (i+n)%2 == 0, Version: []byte{wire.V311, wire.V5}[n%2],
					Will: &wire.Message{Topic: fmt.Sprint("gone/", i), Retain: true, Payload: []byte("x")},
				})
				p.subscribe(filters(1, "reports/+", "gone/#")...)
				for range 20 {
					p.arrive()
					delivered.Add(1)
				}
				p.close()
			}
		})
	}
	readers.Wait()
	over.Store(true)
	work.Wait()
	if got := int64(len(st.desk.Accepted())); got != published.Load() || delivered.Load() == 0 {
		t.Errorf("%d reports acknowledged, %d accepted, %d messages delivered", published.Load(), got, delivered.Load())
	}
	t.Logf("%d reports acknowledged, %d messages delivered", published.Load(), delivered.Load())
}

// TestManyConnections holds connections that publish now and then, and measures
// how long an acknowledgement takes and what a connection weighs.
func TestManyConnections(t *testing.T) {
	n := 300
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		n = 5000
	}
	st := newStand(t, options{next: &recorder{}})
	before := inUse()
	peers := make([]*peer, n)
	begun := time.Now()
	var work sync.WaitGroup
	var failed atomic.Pointer[error]
	next := make(chan int)
	for range 64 {
		work.Go(func() {
			for i := range next {
				conn, err := net.Dial("tcp", st.address)
				if err != nil {
					failed.Store(&err)
					continue
				}
				p := &peer{t: t, conn: conn, in: wire.NewReader(conn, 512, 1<<16)}
				if ack := p.connect(wire.Connect{Version: wire.V311, CleanStart: true, ClientID: fmt.Sprint("rtu-", i)}); ack.Code != 0 {
					err := errors.New("not let in")
					failed.Store(&err)
				}
				peers[i] = p
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	work.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	back := time.Since(begun)
	idle := inUse()
	var slowest time.Duration
	for i, p := range peers {
		sent := time.Now()
		p.publish(fmt.Sprintf("reports/rtu-%d", i), 1, "{}")
		p.ack(wire.PUBACK)
		slowest = max(slowest, time.Since(sent))
	}
	for _, p := range peers {
		p.close()
	}
	t.Logf("%d connections in %v; %d bytes of memory each, both ends in this process; slowest acknowledgement %v", n, back, (idle-before)/int64(n), slowest)
	if weight := (idle - before) / int64(n); weight > 40<<10 {
		t.Errorf("a connection weighs %d bytes", weight)
	}
	if back > 60*time.Second {
		t.Errorf("it took %v until all were there", back)
	}
}

// inUse returns the bytes of memory in use by what still lives in this process and by its
// stacks. What the kernel calls resident has the garbage of other tests in it, and what the
// race detector keeps.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
