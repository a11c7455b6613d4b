package session_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
	"github.com/penstock/penstock/link/seal"
	"github.com/penstock/penstock/link/session"
)

// compile builds a C program with every warning an error.
func compile(program string, flags []string, sources ...string) error {
	// What the test reads itself is what Go's cache of results looks at.
	for _, name := range append([]string{"../c/penstock_link.h", "../c/testdata/gcm.h"}, sources...) {
		if _, err := os.ReadFile(name); err != nil {
			return err
		}
	}
	args := append([]string{"-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o", program}, flags...)
	if out, err := exec.Command("gcc", append(args, sources...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return nil
}

// buildBench builds the C client once for all tests, with the checks that the
// compiler can put into it.
var buildBench = sync.OnceValues(func() (string, error) {
	program := filepath.Join(programs, "bench")
	sanitize := []string{"-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}
	return program, compile(program, sanitize, "../c/testdata/bench.c", "../c/penstock_link.c")
})

// programs is where they are built.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "penstock-link"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(status)
}

// cBench is the C client in a process of its own: see testdata/bench.c beside it.
type cBench struct {
	t      testing.TB
	in     io.Writer
	out    *bufio.Scanner
	errors *bytes.Buffer

	newest, accepted, committed, epoch, boot uint64
	open, lost, behind                       bool
}

func newCBench(t testing.TB) *cBench {
	t.Helper()
	program, err := buildBench()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	b := &cBench{t: t, errors: &bytes.Buffer{}}
	cmd.Stderr = b.errors
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.in, b.out = in, bufio.NewScanner(out)
	b.out.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the C client ended with %v\n%s", err, b.errors)
		}
	})
	return b
}

// do has the client obey, and returns what it printed.
func (b *cBench) do(format string, args ...any) (lines []string) {
	b.t.Helper()
	command := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintln(b.in, command); err != nil {
		b.t.Fatalf("%.100s: %v", command, err)
	}
	for b.out.Scan() {
		line := b.out.Text()
		if rest, ok := strings.CutPrefix(line, "done "); ok {
			var open, lost, behind int
			if _, err := fmt.Sscan(rest, &b.newest, &b.accepted, &b.committed, &b.epoch, &open, &lost, &behind, &b.boot); err != nil {
				b.t.Fatal(err)
			}
			b.open, b.lost, b.behind = open == 1, lost == 1, behind == 1
			return lines
		}
		lines = append(lines, line)
	}
	b.t.Fatalf("%.100s: the C client has gone", command)
	return nil
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// TestCFrameVectors holds the C client to the vectors.
func TestCFrameVectors(t *testing.T) {
	b := newCBench(t)
	type vector struct {
		Name, Frame, Error, Payload    string
		Limit, Kind, Features, Address int
	}
	var good struct{ Frames []vector }
	var bad struct{ Refused []vector }
	readJSON(t, "vectors/frames.json", &good)
	readJSON(t, "vectors/refused.json", &bad)
	for _, v := range good.Frames {
		want := fmt.Sprintf("frame %d %d %d  %s", v.Kind, v.Features, v.Address, v.Payload)
		if got := b.do("frame %d %s", link.MaxPayload, v.Frame); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", v.Name, got, want)
		}
	}
	for _, v := range bad.Refused {
		if v.Limit == 0 {
			v.Limit = link.MaxPayload
		}
		want := "error " + v.Error
		switch v.Error {
		case "variant":
			want = "error checksum"
		case "payload": // the frame is whole; the client looks into it when it gets it
			want = "frame"
		}
		if got := b.do("frame %d %s", v.Limit, v.Frame); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: %q, want %q", v.Name, got, want)
		}
	}
}

func TestCCOBSVectors(t *testing.T) {
	b := newCBench(t)
	var vectors struct {
		Blocks []struct{ Name, Block, Line, Error string }
	}
	readJSON(t, "vectors/cobs.json", &vectors)
	for _, v := range vectors.Blocks {
		decoded := "cobs " + v.Block
		if v.Error != "" {
			decoded = "error " + v.Error
		} else if got := b.do("cobs %s", v.Block); len(got) != 1 || got[0] != "cobs "+v.Line {
			t.Errorf("%s: encoded %q, want %q", v.Name, got, v.Line)
		}
		if got := b.do("uncobs %s", strings.TrimSuffix(v.Line, "00")); len(got) != 1 || got[0] != decoded {
			t.Errorf("%s: decoded %q, want %q", v.Name, got, decoded)
		}
	}
}

// TestCReportVectors holds the C encoder to the vectors of the report format that
// have a sequence: it writes no others.
func TestCReportVectors(t *testing.T) {
	b := newCBench(t)
	var vectors struct {
		Reports []struct {
			Name, Encoding string
			Report         struct {
				Controller string
				Identity   struct{ Form, Epoch, Seq string }
				Samples    []struct {
					Point, Unit, Time, Kind, Value string
					Status, Native, Flags          uint32
				}
			}
		}
	}
	readJSON(t, "vectors.json", &vectors)
	kinds := map[string]int{"none": 0, "float64": 1, "int64": 2, "uint64": 3, "bool": 4, "text": 5}
	text := func(s string) string { return "." + hex.EncodeToString([]byte(s)) }
	tried := 0
	for _, v := range vectors.Reports {
		r := v.Report
		if r.Identity.Form != "sequence" || strings.Contains(v.Encoding, "00000000000000000000000000000000") && len(v.Encoding) > 100_000 {
			continue
		}
		command := fmt.Sprintf("report %s %s %s %d", text(r.Controller), r.Identity.Epoch, r.Identity.Seq, len(r.Samples))
		for _, s := range r.Samples {
			value := s.Value
			switch s.Kind {
			case "none":
				value = "0"
			case "bool":
				value = map[string]string{"true": "1", "false": "0"}[value]
			case "text":
				value = text(value)
			}
			command += fmt.Sprintf(" %s %s %s %d %d %d %d %s", text(s.Point), text(s.Unit), s.Time, s.Status, s.Native, s.Flags, kinds[s.Kind], value)
		}
		if got := b.do("%s", command); len(got) != 1 || got[0] != "report "+v.Encoding {
			t.Errorf("%s: %.300q, want %.300q", v.Name, got, v.Encoding)
		}
		tried++
	}
	if tried < 5 {
		t.Errorf("only %d of %d reports were tried", tried, len(vectors.Reports))
	}
}

// cEnd is the C client as the controller's end of the simulation.
type cEnd struct {
	*cBench
	carrier int
	gate    *seal.Gateway // where datagrams are sealed
	heard   bool          // the gateway opened a datagram, and can answer
	next    time.Time
	refused []string
	pending []byte
}

const (
	cStream = iota
	cDatagram
	cSerial
)

// clock sets the client's clock: it wraps around ten seconds after the start.
func (c *cEnd) clock(now time.Time) {
	c.do("clock %d", uint32(now.Sub(time.Unix(1_800_000_000, 0)).Milliseconds()-10_000))
}

// gather takes the frames out of what the client wrote, as its carrier has them.
func (c *cEnd) gather(lines []string) {
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "write":
			b, err := hex.DecodeString(rest)
			if err == nil && c.carrier == cSerial {
				b, err = cobs.Decode(b[:len(b)-1])
			}
			if err == nil && c.gate != nil {
				b, _, err = c.gate.Open(nil, b)
				c.heard = true
			}
			if err != nil {
				c.t.Fatalf("the C client wrote %s: %v", rest, err)
			}
			c.pending = append(c.pending, b...)
		case "refused":
			c.refused = append(c.refused, rest)
		case "error":
			c.t.Fatal(line)
		}
	}
}

func (c *cEnd) Offer(newest uint64) {
	if got := c.do("offer"); len(got) != 1 || got[0] != fmt.Sprintf("offered %d", newest) {
		c.t.Fatalf("report %d: %q", newest, got)
	}
}
func (c *cEnd) Connected(now time.Time) { c.clock(now); c.do("connect") }
func (c *cEnd) Disconnected()           { c.do("disconnect") }
func (c *cEnd) Backoff() time.Duration  { return time.Second }
func (c *cEnd) Next() time.Time         { return c.next }
func (c *cEnd) Committed() uint64       { return c.committed }
func (c *cEnd) Waiting() uint64         { return c.newest - c.accepted }

func (c *cEnd) Receive(now time.Time, f link.Frame) (session.Event, error) {
	c.clock(now)
	b := link.AppendFrame(nil, f)
	if c.gate != nil {
		if !c.heard {
			return session.Event{}, nil
		}
		b = c.gate.Seal(nil, b)
	}
	if c.carrier == cSerial {
		b = cobs.Append(nil, b)
	}
	refused := len(c.refused)
	c.gather(c.do("receive %x", b))
	e := session.Event{Lost: c.lost}
	if len(c.refused) > refused {
		e.Refusal = &link.Refusal{}
	}
	return e, nil
}

func (c *cEnd) Output(now time.Time, _ session.Load) (frames []byte, lost bool) {
	c.clock(now)
	lines := c.do("step")
	if wait, ok := strings.CutPrefix(lines[len(lines)-1], "next "); ok {
		ms, err := strconv.ParseUint(wait, 10, 32)
		if err != nil {
			c.t.Fatal(err)
		}
		if c.next = now.Add(time.Duration(ms) * time.Millisecond); ms == 1<<32-1 {
			c.next = time.Time{}
		}
	}
	c.gather(lines[:len(lines)-1])
	frames, c.pending = c.pending, nil
	return frames, c.lost && c.carrier == cStream
}

// TestCClientDeliversEverythingOnce runs the C client against the receiver, through
// bad weather, a restart of the gateway, and the loss of one.
func TestCClientDeliversEverythingOnce(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, seal.SecretSize)
	id := seal.KeyID{1, 2, 3, 4, 5, 6, 7, 8}
	for name, c := range map[string]struct {
		carrier int
		sealed  bool
		loss    float64
	}{
		"stream":           {carrier: cStream},
		"datagrams":        {carrier: cDatagram, loss: 0.10},
		"datagrams, worse": {carrier: cDatagram, loss: 0.30},
		"sealed datagrams": {carrier: cDatagram, sealed: true, loss: 0.10},
		"serial line":      {carrier: cSerial, loss: 0.05},
		"sealed on serial": {carrier: cSerial, sealed: true, loss: 0.05},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, weather{
				loss: c.loss, duplicate: 0.1, reorder: 0.1, corrupt: 0.01, delay: 100 * time.Millisecond, jitter: 100 * time.Millisecond,
				stream: c.carrier == cStream,
			}, 3)
			w.lag = 1500 * time.Millisecond
			client := &cEnd{cBench: newCBench(t), carrier: c.carrier}
			command := fmt.Sprintf("start %d 0 7", c.carrier)
			if c.sealed {
				key, err := seal.NewKey(id, secret)
				if err != nil {
					t.Fatal(err)
				}
				client.gate = seal.NewGateway(key, 99)
				command += fmt.Sprintf(" %x %x %d", id[:], secret, 1000)
			}
			client.do("%s", command)
			w.begin = func() end { return client }
			// Once, the gateway restarts, and once another node answers, without
			// what this one had accepted and not yet committed.
			for at, falls := range map[time.Duration]func(){4 * time.Second: func() {}, 8090 * time.Millisecond: func() {
				for seq := range w.node {
					if seq > w.committed {
						delete(w.node, seq)
					}
				}
			}} {
				w.after(at, func() {
					falls()
					if w.receiver = nil; w.weather.stream {
						w.breakStream()
					}
				})
			}
			const reports = 600
			w.deliver(reports, 20*time.Millisecond)
			t.Logf("goodput %.2f of %.2f possible", reports/float64(w.sent), (1-c.loss)*0.99)
		})
	}
}

// TestCClientWithoutMemory starts without epoch and boot number, and asks for both.
func TestCClientWithoutMemory(t *testing.T) {
	id, secret := seal.KeyID{1, 2, 3, 4, 5, 6, 7, 8}, bytes.Repeat([]byte{7}, seal.SecretSize)
	key, err := seal.NewKey(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	b, gate := newCBench(t), seal.NewGateway(key, 99)
	var arrival seal.Arrival
	said := func(lines []string) (all []link.Frame) {
		for _, line := range lines {
			if datagram, ok := strings.CutPrefix(line, "write "); ok {
				raw, err := hex.DecodeString(datagram)
				if err != nil {
					t.Fatal(err)
				}
				out, a, err := gate.Open(nil, raw)
				if err != nil {
					t.Fatal(err)
				}
				arrival = a
				all = append(all, frames(t, out)...)
			}
		}
		return all
	}
	wantSaid := func(what string, want ...link.Kind) link.Frame {
		t.Helper()
		got := said(b.do("step"))
		if len(got) != len(want) || len(got) > 0 && got[0].Kind != want[0] {
			t.Fatalf("%s: it says %v, want %v", what, got, want)
		}
		if len(got) == 0 {
			return link.Frame{}
		}
		return got[0]
	}
	b.do("clock 1")
	b.do("start %d 0 0 %x %x 0", cDatagram, id[:], secret)
	b.do("connect")
	if got := b.do("offer"); got[0] != "offered 0" {
		t.Errorf("a report is taken before the epoch is known: %q", got)
	}
	wantSaid("at first", link.KindHello)
	if !arrival.Question {
		t.Fatal("it does not ask")
	}
	m := link.Welcome{Version: 1, LastEpoch: 41, LastBoot: 42, Time: start.UnixNano()}
	b.do("receive %x", gate.SealAnswer(nil, arrival, m.Append(nil, link.Header{})))
	if want := uint64(start.UnixMilli()); b.epoch != want || b.boot != want {
		t.Errorf("epoch %d and boot %d, want %d", b.epoch, b.boot, want)
	}
	wantSaid("then", link.KindHello)
	m = link.Welcome{Version: 1, Epoch: b.epoch, Window: 10_000, Largest: 1000, Heartbeat: 10 * time.Second}
	answer := gate.Seal(nil, m.Append(nil, link.Header{}))
	if b.do("receive %x", answer); !b.open {
		t.Fatal("the session is not open")
	}
	b.do("offer")
	wantSaid("with a report", link.KindData)
	b.do("clock 1000") // before the first timeout
	wantSaid("before the timeout")
	b.do("clock 1001")
	wantSaid("after the timeout", link.KindData)
	a := link.Ack{Epoch: b.epoch, Accepted: 1, Committed: 1, Window: 10_000}
	b.do("receive %x", gate.Seal(nil, a.Append(nil, link.Header{})))
	b.do("clock 11000")
	wantSaid("before the heartbeat")
	b.do("clock 11001")
	wantSaid("after ten seconds", link.KindHeartbeat)
	b.do("disconnect")
	b.do("connect")
	wantSaid("on a new connection", link.KindHello)
	if b.do("receive %x", answer); b.open {
		t.Error("a welcome that came before opens a session")
	}
}

// TestCClientAsksForTheMark: the ack that tells what is committed may be lost.
func TestCClientAsksForTheMark(t *testing.T) {
	b, now := newCBench(t), 0
	hear := func(frame []byte) { b.do("receive %x", frame) }
	// step returns what it says now, and after how many milliseconds it wants to speak again.
	step := func() (kinds []link.Kind, next int) {
		b.do("clock %d", now)
		for _, line := range b.do("step") {
			if raw, ok := strings.CutPrefix(line, "write "); ok {
				out, err := hex.DecodeString(raw)
				if err != nil {
					t.Fatal(err)
				}
				kinds = append(kinds, frames(t, out)[0].Kind)
			} else if _, err := fmt.Sscanf(line, "next %d", &next); err != nil {
				t.Fatal(err)
			}
		}
		return kinds, next
	}
	b.do("start %d 0 7", cDatagram)
	b.do("connect")
	step()
	hear(welcome(link.Welcome{}))
	for seq := uint64(1); seq <= 40; seq++ {
		if seq > 1 {
			now += 300 // the record takes so long
			b.do("clock %d", now)
			hear(ack(link.Ack{Accepted: seq - 1, Committed: seq - 1}))
		}
		b.do("offer")
		if kinds, _ := step(); len(kinds) != 1 || kinds[0] != link.KindData {
			t.Fatalf("report %d: it says %v", seq, kinds)
		}
		now += 100 // there and back
		b.do("clock %d", now)
		hear(ack(link.Ack{Accepted: seq, Committed: seq - 1}))
	}
	var pauses []int
	for last := now; len(pauses) < 7; {
		kinds, next := step()
		if len(kinds) == 1 && kinds[0] == link.KindHeartbeat {
			pauses, last = append(pauses, now-last), now
			if len(pauses) > 4 { // the answer: nothing more is committed
				hear(ack(link.Ack{Accepted: 40, Committed: 39}))
				continue
			}
		}
		now += next
	}
	if pauses[0] < 490 || pauses[0] > 600 {
		t.Fatalf("with a round trip of 100 ms and a record that takes 300 ms it asks after %v ms", pauses)
	}
	want := pauses[0]
	for i := 1; i < len(pauses); i++ {
		if i > 1 && i <= 5 { // the last but one was not answered
			want += want / 4
		}
		if i > 4 {
			want *= 2
		}
		if pauses[i] != want {
			t.Errorf("question %d comes after %d ms, not %d", i, pauses[i], want)
		}
	}
	hear(ack(link.Ack{Accepted: 40, Committed: 40}))
	if _, next := step(); b.committed != 40 || next < 5000 {
		t.Errorf("committed %d, and it speaks again after %d ms", b.committed, next)
	}
}

// said returns the frames in what a client that seals nothing printed.
func said(t *testing.T, lines []string) (all []link.Frame) {
	t.Helper()
	for _, line := range lines {
		if raw, ok := strings.CutPrefix(line, "write "); ok {
			out, err := hex.DecodeString(raw)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, frames(t, out)...)
		}
	}
	return all
}

// TestCClientTellsSignalsAndAsksForTheTime holds both against the gateway's end.
func TestCClientTellsSignalsAndAsksForTheTime(t *testing.T) {
	b := newCBench(t)
	gateway := session.NewReceiver(session.ReceiverConfig{Window: 10_000, Largest: 1000, Heartbeat: 10 * time.Second}, start)
	// exchange has the gateway take what the client says, and the client the answer.
	exchange := func(now time.Time) (effects []session.Effect, heard []string) {
		t.Helper()
		b.do("clock %d", now.Sub(start).Milliseconds())
		for _, f := range said(t, b.do("step")) {
			e := gateway.Receive(now, f)
			if e.Err != nil {
				t.Fatalf("%v: %v", f.Kind, e.Err)
			}
			if e.Do == session.Authenticate {
				gateway.Admit(now, &e.Hello, session.Standing{})
			}
			effects = append(effects, e)
		}
		b.do("wall %d", now.Add(200*time.Millisecond-time.Hour).UnixNano()) // the way back takes so long
		return effects, b.do("receive %x", gateway.Output())
	}
	want := []link.Signal{{Kind: link.SignalRSSI, Tenths: -735}, {Kind: link.SignalSNR, Tenths: 82}}
	for _, s := range want {
		b.do("modem %d %d", s.Kind, s.Tenths)
	}
	b.do("start %d 0 7", cDatagram)
	b.do("connect")
	if e, _ := exchange(start); len(e) != 1 || !slices.Equal(e[0].Signals, want) || !b.open {
		t.Fatalf("the hello is taken as %+v", e)
	}
	b.do("modem %d %d", link.SignalOptical, math.MaxInt32)
	want = append(want, link.Signal{Kind: link.SignalOptical, Tenths: math.MaxInt32})
	now := start.Add(10 * time.Second)
	if e, _ := exchange(now); len(e) != 1 || !slices.Equal(e[0].Signals, want) {
		t.Fatalf("the heartbeat is taken as %+v", e)
	}
	// The controller's clock is an hour behind; the gateway is 100 ms away, and the
	// controller 100 ms from it.
	now = now.Add(time.Second)
	b.do("wall %d", now.Add(-time.Hour).UnixNano())
	b.do("time")
	_, heard := exchange(now.Add(100 * time.Millisecond))
	if want := fmt.Sprintf("behind %d %d", time.Hour-50*time.Millisecond, 150*time.Millisecond); len(heard) != 1 || heard[0] != want {
		t.Errorf("it heard %q, want %q", heard, want)
	}
	if e, _ := exchange(now.Add(time.Second)); len(e) != 0 {
		t.Errorf("it asks again: %+v", e)
	}
	stray := link.TimeAnswer{T1: 1, T2: math.MinInt64, T3: math.MaxInt64}
	if got := b.do("receive %x", stray.Append(nil, link.Header{})); len(got) != 0 {
		t.Errorf("an answer to no question: %q", got)
	}
}

// TestCClientKeepsItsTurn has the client speak on a line with others.
func TestCClientKeepsItsTurn(t *testing.T) {
	b := newCBench(t)
	b.do("start %d 1 7", cSerial)
	b.do("connect")
	for range 50 {
		b.do("offer")
	}
	turn := func(budget uint64) (kinds []link.Kind, size int) {
		t.Helper()
		b.do("receive %x", cobs.Append(nil, (&link.Turn{Budget: budget}).Append(nil, link.Header{})))
		for _, line := range b.do("step") {
			if raw, ok := strings.CutPrefix(line, "write "); ok {
				block, err := hex.DecodeString(raw)
				if err != nil {
					t.Fatal(err)
				}
				n := len(block)
				if block, err = cobs.Decode(block[:n-1]); err != nil {
					t.Fatal(err)
				}
				f := frames(t, block)[0]
				if kinds = append(kinds, f.Kind); f.Kind != link.KindOver {
					size += n
				}
			}
		}
		return kinds, size
	}
	if got := b.do("step"); len(got) != 1 {
		t.Fatalf("outside its turn it says %q", got)
	}
	if kinds, _ := turn(200); len(kinds) != 2 || kinds[0] != link.KindHello || kinds[1] != link.KindOver {
		t.Fatalf("in the first turn: %v", kinds)
	}
	b.do("receive %x", cobs.Append(nil, welcome(link.Welcome{})))
	for _, budget := range []uint64{10, 100, 300, 512} {
		kinds, size := turn(budget)
		if len(kinds) == 0 || kinds[len(kinds)-1] != link.KindOver || size > int(budget) || budget >= 100 && size < int(budget)/2 {
			t.Errorf("a turn of %d bytes: %v, %d bytes on the line", budget, kinds, size)
		}
	}
}

// TestCClientOnASealedLine holds the client to the examples: of what is in the clear it
// takes the turn alone, and what it says is sealed.
func TestCClientOnASealedLine(t *testing.T) {
	var vectors struct {
		Lines []struct {
			Name, Secret, Boot, Frame, Line, Error string
			KeyID                                  string `json:"key_id"`
			FromGateway                            bool   `json:"from_gateway"`
		}
	}
	readJSON(t, "vectors/lines.json", &vectors)
	first := vectors.Lines[0]
	secret, err := hex.DecodeString(first.Secret)
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.NewKey(seal.KeyID{1, 2, 3, 4, 5, 6, 7, 8}, secret)
	if err != nil {
		t.Fatal(err)
	}
	gate := seal.NewGateway(key, 1)
	b := newCBench(t)
	b.do("start %d 1 1 %s %s %s 7", cSerial, first.KeyID, first.Secret, first.Boot)
	b.do("connect")
	b.do("offer")
	turns := 0
	for _, v := range vectors.Lines {
		if !v.FromGateway {
			continue
		}
		b.do("receive %s", v.Line)
		var kinds []link.Kind
		for _, line := range b.do("step") {
			raw, ok := strings.CutPrefix(line, "write ")
			if !ok {
				continue
			}
			block, err := hex.DecodeString(raw)
			if err == nil {
				block, err = cobs.Decode(block[:len(block)-1])
			}
			if err == nil {
				block, _, err = gate.Open(nil, block)
			}
			if err != nil {
				t.Fatalf("%s: it says %s: %v", v.Name, raw, err)
			}
			kinds = append(kinds, frames(t, block)[0].Kind)
		}
		isTurn := v.Error == "" && strings.Contains(v.Name, "turn")
		if isTurn != (len(kinds) > 0 && kinds[len(kinds)-1] == link.KindOver) {
			t.Errorf("after %q it says %v", v.Name, kinds)
		}
		if isTurn {
			turns++
		}
	}
	if turns != 2 {
		t.Errorf("it had %d turns", turns)
	}
}

// TestCClientOfTheREADME compiles the example in the README, for size too.
func TestCClientOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("../c/README.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```c\n(.*?)```").FindSubmatch(readme)
	if example == nil {
		t.Fatal("the README has no example")
	}
	source := filepath.Join(t.TempDir(), "example.c")
	if err := os.WriteFile(source, example[1], 0o600); err != nil {
		t.Fatal(err)
	}
	object := filepath.Join(t.TempDir(), "object.o")
	if err := compile(object, []string{"-c", "-I../c"}, source); err != nil {
		t.Fatal(err)
	}
	if err := compile(object, []string{"-c", "-Os", "-Wconversion"}, "../c/penstock_link.c"); err != nil {
		t.Fatal(err)
	}
	size, err := exec.Command("size", object).CombinedOutput()
	if err != nil {
		t.Fatalf("size: %v\n%s", err, size)
	}
	t.Logf("with -Os:\n%s", size)
	allowed := map[string]bool{"memcpy": true, "memmove": true, "memset": true, "memcmp": true, "strcmp": true, "strlen": true, "_GLOBAL_OFFSET_TABLE_": true}
	undefined, err := exec.Command("nm", "-u", object).CombinedOutput()
	if err != nil {
		t.Fatalf("nm: %v\n%s", err, undefined)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(undefined)), "\n") {
		if name := strings.TrimPrefix(strings.TrimSpace(line), "U "); !allowed[name] {
			t.Errorf("the client needs %s, which string.h does not have", name)
		}
	}
}
