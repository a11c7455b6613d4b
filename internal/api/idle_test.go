package api_test

import (
	"bufio"
	"crypto/tls"
	"runtime"
	"testing"

	"github.com/penstock/penstock/internal/api"
)

// BenchmarkIdleConnections tells the memory of a connection that has sent one
// report and waits: both ends, of which the client's is about half.
func BenchmarkIdleConnections(b *testing.B) {
	g := prepare(b, func(o *api.Options) { o.Now, o.Observer = nil, nil })
	g.run(accepting(1))
	const connections = 500
	for b.Loop() {
		before := inUse()
		conns := make([]*tls.Conn, connections)
		for i := range conns {
			c, err := tls.Dial("tcp", g.addr, &tls.Config{RootCAs: g.roots})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.Write(request(report("pump-17", 1, 1, 1))); err != nil {
				b.Fatal(err)
			}
			if err := skipAnswer(bufio.NewReaderSize(c, 4<<10)); err != nil {
				b.Fatal(err)
			}
			conns[i] = c
		}
		b.ReportMetric((inUse()-before)/connections/1024, "KiB/connection")
		for _, c := range conns {
			c.Close()
		}
	}
}

// inUse returns the bytes of heap and stacks in use.
func inUse() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}
