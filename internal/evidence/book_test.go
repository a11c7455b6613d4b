package evidence_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/evidence"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func newBook() *evidence.Book { return evidence.NewBook(func() time.Time { return noon }) }

func TestPageCountsAndKeeps(t *testing.T) {
	b := newBook()
	p := b.Port("line-3")
	p.Add(evidence.Received, 3)
	p.Count(evidence.Timeout)
	for i := range 40 {
		p.Bad(evidence.Checksum, []byte{byte(i), 1, 2}, "the CRC is another")
	}
	p.Signal(evidence.RSSI, -71)
	p.Signal(evidence.RSSI, -73)
	p.Signal(evidence.RSSI, math.NaN()) // what no answer in JSON could hold
	p.Signal(evidence.RSSI, math.Inf(-1))
	s := b.Ports()[0]
	if s.Name != "line-3" || s.Counts[evidence.Received] != 3 || s.Counts[evidence.Timeout] != 1 || s.Counts[evidence.Checksum] != 40 || len(s.Counts) != 3 {
		t.Errorf("counts %v of %q", s.Counts, s.Name)
	}
	if !s.Heard.Equal(noon) || s.Signals[evidence.RSSI].Value != -73 || len(p.Readings(evidence.RSSI)) != 2 {
		t.Errorf("heard %v, signals %v", s.Heard, s.Signals)
	}
	frames := p.BadFrames()
	if len(frames) != 32 || frames[0].Bytes[0] != 8 || frames[31].Bytes[0] != 39 || frames[0].Why == "" || frames[0].Event != evidence.Checksum {
		t.Errorf("%d frames are kept, the first %+v", len(frames), frames[0])
	}
}

func TestLongFramesAreCutAndMeasured(t *testing.T) {
	p := newBook().Port("line")
	p.Bad(evidence.Malformed, make([]byte, 5000), "no field fits")
	if f := p.BadFrames()[0]; len(f.Bytes) != 256 || f.Size != 5000 {
		t.Errorf("%d of %d bytes are kept", len(f.Bytes), f.Size)
	}
}

// A sender that invents names must not make the book grow without end.
func TestNamesBeyondTheLimitShareAPage(t *testing.T) {
	b := newBook()
	for i := range evidence.MaxPorts + 10 {
		b.Port(fmt.Sprint("port-", i)).Count(evidence.Refused)
	}
	summaries := b.Ports()
	i := slices.IndexFunc(summaries, func(s evidence.Summary) bool { return s.Name == evidence.Others })
	if len(summaries) != evidence.MaxPorts+1 || i < 0 || summaries[i].Counts[evidence.Refused] != 10 {
		t.Errorf("%d pages", len(summaries))
	}
}

// All bad frames together stay within their budget; the newest of a page is kept
// at the cost of its own older ones.
func TestBadFramesStayWithinTheirBudget(t *testing.T) {
	b := newBook()
	total := 0
	for i := range evidence.MaxPorts {
		p := b.Port(fmt.Sprint("port-", i))
		for range 32 {
			p.Bad(evidence.Framing, make([]byte, 256), "noise")
		}
		for _, f := range p.BadFrames() {
			total += len(f.Bytes)
		}
	}
	if total == 0 || total > 16<<20 {
		t.Errorf("%d bytes are kept", total)
	}
}

func TestConcurrentUse(t *testing.T) {
	b := newBook()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 200 {
				p := b.Controller(fmt.Sprint("pump-", (i+n)%5))
				p.Count(evidence.Received)
				p.Bad(evidence.Checksum, []byte("bytes"), "damaged")
				p.Signal(evidence.SNR, 9)
				b.Controllers()
			}
		})
	}
	all.Wait()
	sum := uint64(0)
	for _, s := range b.Controllers() {
		sum += s.Counts[evidence.Received]
	}
	if sum != 1600 {
		t.Errorf("%d counted, not 1600", sum)
	}
}

func TestEveryEventHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range evidence.Events() {
		name := e.String()
		if name == "" || name == "unknown" || seen[name] {
			t.Errorf("event %d is called %q", e, name)
		}
		seen[name] = true
	}
}
