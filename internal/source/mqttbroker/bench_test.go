package mqttbroker_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// BenchmarkPublish has connections with one publish of QoS 1 under way each, and a
// pipeline that costs nothing.
func BenchmarkPublish(b *testing.B) {
	st := newStand(b, options{next: &recorder{}})
	const connections = 64
	var work sync.WaitGroup
	each := b.N/connections + 1
	b.ReportAllocs()
	b.ResetTimer()
	for i := range connections {
		work.Go(func() {
			conn, err := net.Dial("tcp", st.address)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			answer := make([]byte, 4)
			exchange := func(packet []byte) {
				if _, err := conn.Write(packet); err != nil {
					b.Error(err)
				}
				if _, err := io.ReadFull(conn, answer); err != nil {
					b.Error(err)
				}
			}
			exchange(wire.AppendConnect(nil, &wire.Connect{Version: wire.V311, CleanStart: true}))
			packet := wire.AppendPublish(nil, wire.V311, &wire.Publish{ID: 1, Message: wire.Message{
				Topic: fmt.Sprint("reports/rtu-", i), QoS: 1, Payload: []byte(reportText("rtu", 1)),
			}})
			for range each {
				exchange(packet)
			}
		})
	}
	work.Wait()
}
