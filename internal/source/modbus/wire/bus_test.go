package wire_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// script is the other end of a connection: for each request it sends what the
// next line says. A line holds pieces of hexadecimal with pauses between them;
// CRC stands for the checksum of what came since the line's beginning or a bar,
// TT for the transaction of the request.
type script []string

func (s script) play(t *testing.T, conn net.Conn, requestSize int) {
	requests := make(chan []byte, len(s)+1)
	var reader sync.WaitGroup
	reader.Go(func() { // takes what comes at any time, as a network does
		defer close(requests)
		for {
			request := make([]byte, requestSize)
			if _, err := io.ReadFull(conn, request); err != nil {
				return
			}
			requests <- request
		}
	})
	defer reader.Wait()
	for _, line := range s {
		request, ok := <-requests
		if !ok {
			t.Errorf("the device was not asked for %q", line)
			return
		}
		var frame []byte
		for _, piece := range strings.Fields(line) {
			if pause, err := time.ParseDuration(piece); err == nil {
				time.Sleep(pause) // of the bubble's clock
				continue
			}
			if piece == "|" {
				frame = nil
				continue
			}
			begun := len(frame)
			frame = appendPiece(t, frame, piece, request)
			if _, err := conn.Write(frame[begun:]); err != nil {
				return
			}
		}
	}
}

func appendPiece(t *testing.T, frame []byte, piece string, request []byte) []byte {
	piece, sealed := strings.CutSuffix(piece, "CRC")
	b, err := hex.DecodeString(strings.ReplaceAll(piece, "TT", hex.EncodeToString(request[:2])))
	if err != nil {
		t.Errorf("the script %q: %v", piece, err)
	}
	if frame = append(frame, b...); sealed {
		c := wire.CRC(frame)
		frame = append(frame, byte(c), byte(c>>8))
	}
	return frame
}

// try asks the script several times for two holding registers from
// 0x10 on of unit 7, and returns the answers and what was seen.
func try(t *testing.T, tcp bool, o wire.Options, s script, times int) (answers, seen []string) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o.Seen = func(unit int, e evidence.Event, frame []byte, why string) {
			seen = append(seen, fmt.Sprintf("%d %v", unit, e))
			if len(frame) > 0 && why == "" {
				t.Errorf("%v came with bytes and without a reason", e)
			}
		}
		bus, size := wire.NewRTU(near, o), 8
		if tcp {
			bus, size = wire.NewTCP(near, o), 12
		}
		var device sync.WaitGroup
		device.Go(func() { s.play(t, far, size) })
		for range times {
			data, err := bus.Ask(wire.Request{Unit: 7, Function: wire.ReadHolding, Address: 0x10, Count: 2}, time.Second)
			answers = append(answers, told(data, err))
			if bus.Broken() != nil {
				answers = append(answers, "broken")
				break
			}
		}
		bus.Close()
		device.Wait()
	})
	return answers, seen
}

func told(data []byte, err error) string {
	var exception *wire.Exception
	switch {
	case err == nil:
		return hex.EncodeToString(data)
	case errors.Is(err, wire.ErrTimeout):
		return "timeout"
	case errors.Is(err, wire.ErrDamaged):
		return "damaged"
	case errors.As(err, &exception):
		return fmt.Sprint("exception ", exception.Code)
	}
	return "lost"
}

func TestTCP(t *testing.T) {
	const good = "TT000000070703040001000a"
	for _, c := range []struct {
		name    string
		options wire.Options
		script  script
		answers []string
		seen    []string
	}{
		{"an answer", wire.Options{}, script{good}, []string{"0001000a"}, []string{"7 received"}},
		{"an answer in pieces", wire.Options{}, script{"TT00 300ms 00000707 300ms 03040001000a"}, []string{"0001000a"}, []string{"7 received"}},
		{"an exception", wire.Options{}, script{"TT0000000307830b"}, []string{"exception 11"}, []string{"7 exception"}},
		{"silence", wire.Options{}, script{"", good}, []string{"timeout", "0001000a"}, []string{"7 timeout", "7 received"}},
		{"an answer after its time", wire.Options{}, script{"1100ms TT00000007070304deadbeef", good},
			[]string{"timeout", "0001000a"}, []string{"7 timeout", "7 late", "7 received"}},
		{"a late answer that is cut in two by the end of the time", wire.Options{}, script{"TT0000000707 1100ms 0304deadbeef", good},
			[]string{"timeout", "0001000a"}, []string{"7 timeout", "7 late", "7 received"}},
		{"another transaction only", wire.Options{}, script{"ffff000000070703040001000a"}, []string{"timeout"}, []string{"7 late", "7 timeout"}},
		{"another unit", wire.Options{}, script{"TT000000070803040001000a", good}, []string{"damaged", "0001000a"}, []string{"7 malformed", "7 received"}},
		{"another unit that is expected", wire.Options{AnyUnit: true}, script{"TT000000070103040001000a"}, []string{"0001000a"}, []string{"7 received"}},
		{"another function", wire.Options{}, script{"TT000000070704040001000a"}, []string{"damaged"}, []string{"7 malformed"}},
		{"fewer registers", wire.Options{}, script{"TT00000005070302ffff"}, []string{"damaged"}, []string{"7 malformed"}},
		{"a byte count that lies", wire.Options{}, script{"TT000000070703060001000a"}, []string{"damaged"}, []string{"7 malformed"}},
		{"a length that lies", wire.Options{}, script{"TT0000ffff0703040001000a"}, []string{"lost", "broken"}, []string{"7 malformed"}},
		{"another protocol", wire.Options{}, script{"485454502f312e31203430300d0a"}, []string{"lost", "broken"}, []string{"7 malformed"}},
		{"no transaction sent back", wire.Options{AnyTransaction: true}, script{"0000000000070703040001000a"}, []string{"0001000a"}, []string{"7 received"}},
		{"silence without transactions", wire.Options{AnyTransaction: true}, script{""}, []string{"timeout", "broken"}, []string{"7 timeout"}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, true, c.options, c.script, c.answers, c.seen) })
	}
}

func TestRTU(t *testing.T) {
	const good = "0703040001000aCRC"
	line := wire.Options{Gap: 100 * time.Millisecond, Quiet: 4 * time.Millisecond}
	fenced := line
	fenced.Fence = func(unit uint8) (wire.Request, bool) {
		return wire.Fence([]wire.Request{{Unit: unit, Function: wire.ReadHolding, Address: 0x10, Count: 2}}), true
	}
	echo := line
	echo.Echo = true
	for _, c := range []struct {
		name    string
		options wire.Options
		script  script
		answers []string
		seen    []string
	}{
		{"an answer", line, script{good}, []string{"0001000a"}, []string{"7 received"}},
		{"an answer with pauses in it", line, script{"0703 50ms 040001 50ms 000aCRC"}, []string{"0001000a"}, []string{"7 received"}},
		{"an exception", line, script{"078302CRC"}, []string{"exception 2"}, []string{"7 exception"}},
		{"silence", line, script{"", good}, []string{"timeout", "0001000a"}, []string{"7 timeout", "7 received"}},
		{"an answer after its time, in the pause", line, script{"1001ms 070304deadbeefCRC", good},
			[]string{"timeout", "0001000a"}, []string{"7 timeout", "7 late", "7 received"}},
		{"an answer after its time and after the next request", fenced, script{"1020ms 070304deadbeefCRC", "0703020001CRC", good},
			[]string{"timeout", "0001000a"}, []string{"7 timeout", "7 late", "7 received"}},
		{"answers that are late for ever", fenced,
			script{"1020ms 070304deadbeefCRC", "1020ms 0703020001CRC", "20ms 0703020001CRC", "20ms " + good, "20ms " + good},
			[]string{"timeout", "timeout", "0001000a", "0001000a"}, []string{"7 timeout", "7 late", "7 timeout", "7 late", "7 received", "7 received"}},
		{"a fence that is refused", fenced, script{"", "078302CRC", good}, []string{"timeout", "0001000a"}, []string{"7 timeout", "7 received"}},
		{"a late answer of another unit before the right one", line, script{"080304deadbeefCRC | 200ms " + good}, []string{"0001000a"}, []string{"8 late", "7 received"}},
		{"another unit only", line, script{"080304deadbeefCRC"}, []string{"timeout"}, []string{"8 late", "7 timeout"}},
		{"another function", line, script{"0704040001000aCRC"}, []string{"timeout"}, []string{"7 late", "7 timeout"}},
		{"another length", line, script{"0703020001CRC"}, []string{"timeout"}, []string{"7 late", "7 timeout"}},
		{"a damaged byte", line, script{"070304000100ffbeef", good}, []string{"damaged", "0001000a"}, []string{"7 checksum", "7 received"}},
		{"a damaged unit", line, script{"0f03040001000abeef"}, []string{"damaged"}, []string{"7 checksum"}},
		{"an answer that breaks off", line, script{"07030400", good}, []string{"damaged", "0001000a"}, []string{"7 framing", "7 received"}},
		{"noise before the answer", line, script{"00ff 10ms | " + good}, []string{"0001000a"}, []string{"-1 framing", "7 received"}},
		{"what looks like an answer before it", line, script{"070304 | " + good}, []string{"0001000a"}, []string{"-1 framing", "7 received"}},
		{"noise only", line, script{"55aa"}, []string{"damaged"}, []string{"7 framing"}},
		{"an echo", echo, script{"070300100002CRC | 20ms " + good}, []string{"0001000a"}, []string{"7 received"}},
		{"an echo that nobody said", line, script{"070300100002CRC | " + good}, []string{"0001000a"}, []string{"-1 framing", "7 received"}},
		{"an echo and silence", line, script{"070300100002CRC"}, []string{"timeout"}, []string{"-1 framing", "7 timeout"}},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, false, c.options, c.script, c.answers, c.seen) })
	}
}

func check(t *testing.T, tcp bool, o wire.Options, s script, answers, seen []string) {
	t.Helper()
	gotAnswers, gotSeen := try(t, tcp, o, s, len(answers)-strings.Count(strings.Join(answers, " "), "broken"))
	if !slices.Equal(gotAnswers, answers) || !slices.Equal(gotSeen, seen) {
		t.Errorf("answered %q and saw %q, want %q and %q", gotAnswers, gotSeen, answers, seen)
	}
}
