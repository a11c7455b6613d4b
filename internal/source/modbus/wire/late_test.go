package wire_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/source/modbus/modbustest"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// erratic is a device that answers when it likes, damages what it says, refuses
// or says nothing. Its registers hold the number of the request that reads them,
// so that the test sees whose answer it got.
type erratic struct {
	random *rand.Rand
	mu     sync.Mutex
	asked  []wire.Request
}

func (d *erratic) answer(q wire.Request) modbustest.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, q)
	a := modbustest.Registers(q, func(wire.Function, uint16) uint16 { return uint16(len(d.asked)) })
	if d.random.IntN(3) == 0 {
		a.After = time.Duration(d.random.IntN(2500)) * time.Millisecond
	}
	switch d.random.IntN(12) {
	case 0, 1:
		a.Silent = true
	case 2:
		a.Refusal = wire.DeviceBusy
	case 3:
		a.Raw = modbustest.Seal(append([]byte{q.Unit, byte(q.Function), byte(len(a.Data))}, a.Data...))
		a.Raw[d.random.IntN(len(a.Raw))] ^= byte(1 + d.random.IntN(255))
	case 4:
		a.Raw = []byte{q.Unit, byte(q.Function)}
	}
	return a
}

// latest returns the number of the request that came last, and the request.
func (d *erratic) latest() (int, wire.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked), d.asked[len(d.asked)-1]
}

// However late a device answers, an answer is that to its own request.
func TestALateAnswerIsNeverAnothersData(t *testing.T) {
	asks := []wire.Request{
		{Unit: 7, Function: wire.ReadHolding, Address: 0, Count: 1},
		{Unit: 7, Function: wire.ReadHolding, Address: 100, Count: 2},
		{Unit: 7, Function: wire.ReadHolding, Address: 200, Count: 2},
		{Unit: 7, Function: wire.ReadInput, Address: 0, Count: 5},
	}
	for _, transport := range []string{"tcp", "rtu"} {
		t.Run(transport, func(t *testing.T) {
			good := 0
			for seed := range uint64(200) { // that of 179 needs the fences to be counted
				synctest.Test(t, func(t *testing.T) { good += ordeal(t, transport == "tcp", seed, asks) })
			}
			if good < 1000 {
				t.Errorf("only %d answers were taken", good)
			}
		})
	}
}

// ordeal asks an erratic device again and again, and returns how often it
// answered.
func ordeal(t *testing.T, tcp bool, seed uint64, asks []wire.Request) (good int) {
	random := rand.New(rand.NewPCG(seed, 1))
	device := &erratic{random: rand.New(rand.NewPCG(seed, 2))}
	near, far := net.Pipe()
	var devices sync.WaitGroup
	o := wire.Options{Gap: 100 * time.Millisecond, Fence: func(uint8) (wire.Request, bool) { return wire.Fence(asks), true }}
	bus, serve := wire.NewRTU(near, o), modbustest.ServeRTU
	if tcp {
		bus, serve = wire.NewTCP(near, o), modbustest.ServeTCP
	}
	devices.Go(func() { serve(far, device.answer) })
	defer devices.Wait()
	defer bus.Close()
	for range 40 {
		q := asks[random.IntN(len(asks))]
		data, err := bus.Ask(q, time.Second)
		if err != nil {
			continue
		}
		good++
		number, asked := device.latest()
		if got := int(binary.BigEndian.Uint16(data)); got != number || asked != q {
			t.Fatalf("seed %d: the answer to %v is that to request %d; the device was last asked %v, which is number %d", seed, q, got, asked, number)
		}
	}
	return good
}

func TestAFenceIsLikeNoOther(t *testing.T) {
	for _, asked := range [][]wire.Request{
		{{Unit: 1, Function: wire.ReadHolding, Address: 10, Count: 1}},
		{{Unit: 1, Function: wire.ReadHolding, Address: 65535, Count: 1}},
		{{Unit: 1, Function: wire.ReadHolding, Address: 10, Count: 2}, {Unit: 1, Function: wire.ReadHolding, Address: 0, Count: 1}},
		{{Unit: 1, Function: wire.ReadCoils, Address: 65535, Count: 1}},
		{{Unit: 1, Function: wire.ReadCoils, Address: 0, Count: 16}, {Unit: 1, Function: wire.ReadCoils, Address: 50, Count: 3}},
		{{Unit: 1, Function: wire.ReadHolding, Address: 0, Count: 125}, {Unit: 1, Function: wire.ReadInput, Address: 0, Count: 124}},
	} {
		f := wire.Fence(asked)
		if err := f.Check(); err != nil || f.Unit != 1 {
			t.Errorf("%v: %v", f, err)
		}
		for _, q := range asked {
			size := func(q wire.Request) int {
				if q.Function.Bits() {
					return (int(q.Count) + 7) / 8
				}
				return 2 * int(q.Count)
			}
			if size(q) == size(f) && q.Function == f.Function {
				t.Errorf("the fence %v has an answer like that to %v", f, q)
			}
		}
	}
}
