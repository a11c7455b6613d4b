package modbus_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/modbus"
	"github.com/penstock/penstock/internal/source/modbus/modbustest"
	"github.com/penstock/penstock/internal/source/modbus/wire"
	"github.com/penstock/penstock/internal/source/sourcetest"
)

// plant is a source in a bubble of its own time, with the devices that it polls.
type plant struct {
	t      *testing.T
	book   *evidence.Book
	desk   *sourcetest.Desk
	status *states

	mu      sync.Mutex // guards everything below
	handler modbustest.Handler
	unreach error
	conns   []net.Conn
	far     sync.WaitGroup
}

// states notes what the source says of itself.
type states struct {
	mu   sync.Mutex
	list []string
}

func (s *states) OK()                { s.add("ok") }
func (s *states) Failing(why string) { s.add(why) }

func (s *states) add(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, state)
}

func (s *states) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return ""
	}
	return s.list[len(s.list)-1]
}

// operate runs a source on the handler's devices while do goes on; the time of
// the bubble passes in between.
func operate(t *testing.T, c modbus.Config, h modbustest.Handler, do func(p *plant)) {
	synctest.Test(t, func(t *testing.T) {
		p := &plant{t: t, book: evidence.NewBook(time.Now), desk: sourcetest.NewDesk(nil), status: &states{}, handler: h}
		env := source.Env{
			Name: "north", Evidence: p.book, Status: p.status, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		}
		s, err := modbus.NewOn(c, env, p.open)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() {
			if err := s.Run(ctx, p.desk); err != nil {
				t.Error(err)
			}
		})
		do(p)
		cancel()
		work.Wait()
		p.cut(nil)
		p.far.Wait()
	})
}

// open is how the source comes to its devices.
func (p *plant) open(_ context.Context, l *modbus.Line) (wire.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unreach != nil {
		return nil, p.unreach
	}
	near, far := net.Pipe()
	p.conns = append(p.conns, far)
	answer := func(q wire.Request) modbustest.Answer {
		p.mu.Lock()
		h := p.handler
		p.mu.Unlock()
		return h(q)
	}
	p.far.Go(func() {
		if l.TCP != "" {
			modbustest.ServeTCP(far, answer)
		} else {
			modbustest.ServeRTU(far, answer)
		}
	})
	return near, nil
}

// cut breaks all connections, and lets none be made as long as why is not nil.
func (p *plant) cut(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unreach = why
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// become gives the devices another behaviour.
func (p *plant) become(h modbustest.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
}

// during returns what was reported in a span of time, a line a report.
func (p *plant) during(d time.Duration) []string {
	before := len(p.desk.Accepted())
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
	var lines []string
	for _, r := range p.desk.Accepted()[before:] {
		line := fmt.Sprintf("%s@%s", r.Controller, time.Unix(0, r.Samples[0].SourceTime).UTC().Format("05.000"))
		for _, s := range r.Samples {
			if s.Flags != penstock.GatewayClock || s.SourceTime != r.Samples[0].SourceTime {
				p.t.Errorf("a sample with flags %d at %d", s.Flags, s.SourceTime)
			}
			line += fmt.Sprintf(" %s=%s", s.Point, s.Value)
			if s.Status != penstock.Good {
				line += "(" + s.Status.String() + ")"
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (p *plant) want(got []string, want ...string) {
	p.t.Helper()
	if !slices.Equal(got, want) {
		p.t.Errorf("reported:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (p *plant) counted(page *evidence.Page, e evidence.Event, want uint64) {
	p.t.Helper()
	if got := page.Counted(e); got != want {
		p.t.Errorf("%s: %d %v, want %d", page.Name(), got, e, want)
	}
}

func point(name, at string, kind modbus.Type) modbus.Point {
	return modbus.Point{Name: name, At: modbus.At(at), Type: kind}
}

func everySecond(points ...modbus.Point) []modbus.Group {
	return []modbus.Group{{Every: time.Second, Points: points}}
}

// address is a device whose registers hold their own address.
func address(q wire.Request) modbustest.Answer {
	return modbustest.Registers(q, func(_ wire.Function, a uint16) uint16 { return a })
}

// silent is a device that is not there.
func silent(wire.Request) modbustest.Answer { return modbustest.Answer{Silent: true} }

// ways are the same line over each transport.
func ways(t *testing.T, run func(t *testing.T, l modbus.Line)) {
	t.Run("tcp", func(t *testing.T) { run(t, modbus.Line{TCP: "device:502"}) })
	t.Run("rtu over tcp", func(t *testing.T) { run(t, modbus.Line{RTUOverTCP: "server:4001"}) })
}

func TestPollsAtTheSlots(t *testing.T) {
	ways(t, func(t *testing.T, l modbus.Line) {
		l.Devices = []modbus.Device{{Controller: "pump-17", Unit: 17, Groups: []modbus.Group{
			{Every: time.Second, Points: []modbus.Point{point("flow", "holding 100", ""), point("open", "coil 5", "")}},
			{Every: 3 * time.Second, Points: []modbus.Point{point("hours", "30201", "")}},
		}}}
		operate(t, modbus.Config{Lines: []modbus.Line{l}}, address, func(p *plant) {
			time.Sleep(250 * time.Millisecond) // it begins between two slots
			p.want(p.during(3*time.Second),
				"pump-17@01.000 flow=100 open=true", "pump-17@02.000 flow=100 open=true",
				"pump-17@03.000 flow=100 open=true", "pump-17@03.000 hours=200")
			if p.status.last() != "ok" {
				t.Errorf("the source says %q", p.status.last())
			}
			p.counted(p.book.Controller("pump-17"), evidence.Received, 7)
			p.counted(p.book.Port("north"), evidence.Received, 7)
		})
	})
}

func TestASilentDeviceIsToldOnceAndComesBack(t *testing.T) {
	ways(t, func(t *testing.T, l modbus.Line) {
		l.Timeout = 200 * time.Millisecond
		l.Devices = []modbus.Device{{Controller: "a", Unit: 1, Groups: everySecond(point("x", "holding 7", ""))}}
		operate(t, modbus.Config{Lines: []modbus.Line{l}}, address, func(p *plant) {
			time.Sleep(500 * time.Millisecond)
			p.want(p.during(time.Second), "a@01.000 x=7")
			p.become(silent)
			p.want(p.during(10*time.Second), "a@02.000 x=none(BadTimeout)")
			p.become(address)
			got := p.during(15 * time.Second)
			if len(got) < 5 || strings.Contains(strings.Join(got, " "), "none") || !strings.HasSuffix(got[len(got)-1], "@26.000 x=7") {
				t.Errorf("after it came back: %q", got)
			}
		})
	})
}

// A device is asked again at once when it answered before, and not otherwise.
func TestRetries(t *testing.T) {
	var asked []string
	h := func(q wire.Request) modbustest.Answer {
		asked = append(asked, time.Now().UTC().Format("5.0"))
		if len(asked) == 2 || len(asked) >= 5 {
			return modbustest.Answer{Silent: true}
		}
		return address(q)
	}
	two := 2
	l := modbus.Line{TCP: "x:1", Timeout: 100 * time.Millisecond, Retries: &two, Demote: modbus.Demote{After: 2},
		Devices: []modbus.Device{{Controller: "a", Unit: 1, Groups: everySecond(point("x", "holding 7", ""))}}}
	operate(t, modbus.Config{Lines: []modbus.Line{l}}, h, func(p *plant) {
		p.want(p.during(5500*time.Millisecond), "a@01.000 x=7", "a@02.000 x=7", "a@03.000 x=7", "a@04.000 x=none(BadTimeout)")
		want := []string{"1.0", "2.0", "2.1", "3.0", "4.0", "4.1", "4.2", "5.0"}
		if !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
	})
}

func TestWhatCouldBeReadIsKept(t *testing.T) {
	h := func(q wire.Request) modbustest.Answer {
		if q.Address >= 1000 {
			return modbustest.Answer{Refusal: wire.DeviceFailure}
		}
		return address(q)
	}
	l := modbus.Line{TCP: "x:1", Devices: []modbus.Device{{Controller: "a", Unit: 1,
		Groups: everySecond(point("x", "holding 7", ""), point("y", "holding 1000", ""), point("z", "input 9", ""))}}}
	operate(t, modbus.Config{Lines: []modbus.Line{l}}, h, func(p *plant) {
		p.want(p.during(2500*time.Millisecond), "a@01.000 x=7 y=none(BadDeviceFailure) z=9", "a@02.000 x=7 z=9")
		p.counted(p.book.Controller("a"), evidence.Exception, 2)
	})
}

// A device that refuses registers which nobody wants is asked without them.
func TestAGapThatIsRefusedIsLeftOut(t *testing.T) {
	h := func(q wire.Request) modbustest.Answer {
		if q.Address <= 8 && q.Address+q.Count > 8 {
			return modbustest.Answer{Refusal: wire.IllegalAddress}
		}
		return address(q)
	}
	l := modbus.Line{TCP: "x:1", Devices: []modbus.Device{{Controller: "a", Unit: 1,
		Groups: everySecond(point("x", "holding 7", ""), point("y", "holding 9", ""))}}}
	operate(t, modbus.Config{Lines: []modbus.Line{l}}, h, func(p *plant) {
		p.want(p.during(2500*time.Millisecond), "a@01.000 x=7 y=9", "a@02.000 x=7 y=9")
		p.counted(p.book.Controller("a"), evidence.Exception, 1)
	})
}

func TestALineThatIsDownIsToldOnceAndComesBack(t *testing.T) {
	ways(t, func(t *testing.T, l modbus.Line) {
		l.Devices = []modbus.Device{
			{Controller: "a", Unit: 1, Groups: everySecond(point("x", "holding 7", ""))},
			{Controller: "b", Unit: 2, Groups: everySecond(point("x", "holding 8", ""))},
		}
		operate(t, modbus.Config{Lines: []modbus.Line{l}}, address, func(p *plant) {
			time.Sleep(500 * time.Millisecond)
			p.want(p.during(time.Second), "a@01.000 x=7", "b@01.000 x=8")
			p.cut(penstock.Errorf(penstock.Unavailable, "the cable is cut"))
			p.want(p.during(5*time.Second), "a@02.000 x=none(BadNoCommunication)", "b@02.000 x=none(BadNoCommunication)")
			if !strings.Contains(p.status.last(), "the cable is cut") {
				t.Errorf("the source says %q", p.status.last())
			}
			p.cut(nil)
			got := p.during(10 * time.Second)
			if len(got) < 4 || !strings.HasSuffix(got[len(got)-1], "@16.000 x=8") || p.status.last() != "ok" {
				t.Errorf("after it came back: %q, and the source says %q", got, p.status.last())
			}
			p.counted(p.book.Port("north"), evidence.Lost, 1)
			p.counted(p.book.Port("north"), evidence.Connected, 2)
		})
	})
}

// The others of a line keep their slots when one does not answer; the probes of
// the dead one take the time that they leave.
func TestADeadDeviceDelaysNobody(t *testing.T) {
	ways(t, func(t *testing.T, l modbus.Line) {
		l.Timeout = 300 * time.Millisecond
		for i := range 10 {
			l.Devices = append(l.Devices, modbus.Device{Controller: fmt.Sprint("d", i), Unit: uint8(i + 1), Groups: everySecond(point("x", "holding 7", ""))})
		}
		h := func(q wire.Request) modbustest.Answer {
			a := address(q)
			a.Silent, a.After = q.Unit == 4, 20*time.Millisecond
			return a
		}
		operate(t, modbus.Config{Lines: []modbus.Line{l}}, h, func(p *plant) {
			got := p.during(2*time.Minute + 500*time.Millisecond)
			if want := 120*9 + 1; len(got) != want {
				t.Errorf("%d reports, want %d", len(got), want)
			}
			if probes := p.book.Controller("d3").Counted(evidence.Timeout); probes < 5 || probes > 20 {
				t.Errorf("the dead device was asked %d times", probes)
			}
		})
	})
}

func TestReportsWaitForTheSpool(t *testing.T) {
	l := modbus.Line{TCP: "x:1", Devices: []modbus.Device{{Controller: "a", Unit: 1, Groups: everySecond(point("x", "holding 7", ""))}}}
	for _, c := range []struct {
		buffer  int
		dropped []string
	}{{10, nil}, {3, []string{"02", "03", "04"}}} {
		operate(t, modbus.Config{Lines: []modbus.Line{l}, Buffer: c.buffer}, address, func(p *plant) {
			p.desk.Fail(penstock.RetryLater(penstock.Full, 100*time.Millisecond, "no room"))
			p.want(p.during(4500 * time.Millisecond)) // the next attempt after it is at 7.3
			p.desk.Fail(nil)
			var want []string
			for second := 1; second <= 9; second++ {
				if slot := fmt.Sprintf("%02d", second); !slices.Contains(c.dropped, slot) {
					want = append(want, "a@"+slot+".000 x=7")
				}
			}
			p.want(p.during(5*time.Second), want...)
			p.counted(p.book.Controller("a"), evidence.Gap, uint64(len(c.dropped)))
		})
	}
}

func TestARejectedReportIsCounted(t *testing.T) {
	l := modbus.Line{TCP: "x:1", Devices: []modbus.Device{{Controller: "a", Unit: 1, Groups: everySecond(point("x", "holding 7", ""))}}}
	operate(t, modbus.Config{Lines: []modbus.Line{l}}, address, func(p *plant) {
		p.desk.Refuse(penstock.ReasonRange)
		p.want(p.during(1500 * time.Millisecond))
		p.desk.Refuse("")
		p.want(p.during(time.Second), "a@02.000 x=7")
		p.counted(p.book.Controller("a"), evidence.Refused, 1)
	})
}

// A poll that takes longer than its interval leaves slots out, and says so.
func TestSlotsThatAreMissedAreCounted(t *testing.T) {
	h := func(q wire.Request) modbustest.Answer {
		a := address(q)
		a.After = 2500 * time.Millisecond
		return a
	}
	l := modbus.Line{TCP: "x:1", Timeout: 5 * time.Second, Devices: []modbus.Device{{Controller: "a", Unit: 1, Groups: everySecond(point("x", "holding 7", ""))}}}
	operate(t, modbus.Config{Lines: []modbus.Line{l}}, h, func(p *plant) {
		p.want(p.during(9*time.Second), "a@01.000 x=7", "a@03.000 x=7", "a@06.000 x=7")
		p.counted(p.book.Controller("a"), evidence.Gap, 4) // 2, 4, 5, 7; the poll of 8 is under way
	})
}

func TestDiagnosticsAreSignals(t *testing.T) {
	h := func(q wire.Request) modbustest.Answer {
		switch {
		case q.Function != wire.Diagnose:
			return address(q)
		case q.Unit == 2:
			return modbustest.Answer{Refusal: wire.IllegalFunction}
		}
		return modbustest.Answer{Data: []byte{1, byte(q.Address)}}
	}
	ways(t, func(t *testing.T, l modbus.Line) {
		for i, name := range []string{"a", "b"} {
			l.Devices = append(l.Devices, modbus.Device{Controller: name, Unit: uint8(i + 1), Diagnostics: 2 * time.Second,
				Groups: everySecond(point("x", "holding 7", ""))})
		}
		operate(t, modbus.Config{Lines: []modbus.Line{l}}, h, func(p *plant) {
			p.during(7 * time.Second)
			signals := p.book.Controllers()[0].Signals
			if signals[evidence.PeerMessages].Value != 0x10B || signals[evidence.PeerChecksum].Value != 0x10C {
				t.Errorf("signals %v", signals)
			}
			p.counted(p.book.Controller("b"), evidence.Exception, 1) // asked once
		})
	})
}

func TestOneConnectionIsGivenBack(t *testing.T) {
	l := modbus.Line{TCP: "x:1", Quirks: modbus.Quirks{OneConnection: true},
		Devices: []modbus.Device{{Controller: "a", Unit: 1, Groups: everySecond(point("x", "holding 7", ""))}}}
	operate(t, modbus.Config{Lines: []modbus.Line{l}}, address, func(p *plant) {
		p.want(p.during(2500*time.Millisecond), "a@01.000 x=7", "a@02.000 x=7")
		p.counted(p.book.Port("north"), evidence.Connected, 2)
		p.counted(p.book.Port("north"), evidence.Lost, 0)
	})
}
