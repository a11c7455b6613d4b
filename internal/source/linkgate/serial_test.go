package linkgate_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
)

// cable joins two devices, one for each end of a serial line.
func cable(t *testing.T) (gateway, controllers string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "line") // without the commas of a test's name: socat takes them for its options
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	gateway, controllers = filepath.Join(dir, "a"), filepath.Join(dir, "b")
	program := exec.Command("socat", "pty,raw,echo=0,link="+gateway, "pty,raw,echo=0,link="+controllers)
	if err := program.Start(); err != nil {
		t.Fatalf("socat is needed for serial lines: %v", err)
	}
	t.Cleanup(func() { program.Process.Kill(); program.Wait() })
	testkit.Eventually(t, func() bool {
		_, err := os.Stat(gateway)
		_, err2 := os.Stat(controllers)
		return err == nil && err2 == nil
	}, "the line")
	return gateway, controllers
}

// onLine sends reports over a line, each as a controller that has just started.
type onLine struct {
	t       *testing.T
	bus     *bus
	address uint16
}

// Send implements sourcetest.Peer.
func (p onLine) Send(ctx context.Context, r *penstock.Report) error {
	seq := r.Identity.Seq
	s := newStation(r.Controller, p.address, seq, seq-1)
	s.reports[seq] = r
	p.bus.join(p.t, s)
	defer p.bus.leave(s)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case got := <-s.results:
			if got.err != nil || got.seq == seq {
				return got.err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C: // one alone on its line speaks when it likes
			p.bus.mu.Lock()
			if p.address == 0 && !p.bus.now().Before(s.Next()) {
				if err := p.bus.speak(s); err != nil {
					p.t.Error(err)
				}
			}
			p.bus.mu.Unlock()
		}
	}
}

// Close implements sourcetest.Peer: the line stays.
func (onLine) Close() error { return nil }

func conform(t *testing.T, address uint16) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		a, b := cable(t)
		port, err := serialport.Open(serialport.Config{Device: b, Baud: 115200})
		if err != nil {
			t.Fatal(err)
		}
		line := newBus(port)
		var work sync.WaitGroup
		work.Go(line.run)
		t.Cleanup(func() { port.Close(); work.Wait() })
		c := linkgate.SerialConfig{
			Serial: serialport.Config{Device: a, Baud: 115200}, Idle: 20 * time.Millisecond,
			Controllers: []linkgate.Station{{Name: "pump-17", Address: address}},
		}
		return sourcetest.Subject{
			New: func(t *testing.T, env source.Env) penstock.Source {
				env.Marks = books{}
				s, err := linkgate.NewSerial(c, env)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Peer: func(t *testing.T) sourcetest.Peer { return onLine{t, line, address} },
			Garble: func(t *testing.T) {
				over := link.Over{}
				frame := over.Append(nil, link.Header{Address: address})
				frame[len(frame)-1] ^= 4
				if _, err := port.Write(cobs.Append([]byte("noise\x00"), frame)); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestSerialInTurns(t *testing.T) { conform(t, 7) }

func TestSerialAlone(t *testing.T) { conform(t, 0) }
