package framing

import (
	"bytes"
	"fmt"

	"github.com/penstock/penstock/internal/evidence"
)

// Frame is what the framer found.
type Frame struct {
	Bytes []byte         // as they came, the first of them where it is noise; valid until the function that got it returns
	Size  int            // how many bytes there were
	Body  []byte         // of a good frame: without marks, end and checksum
	Event evidence.Event // Received, or what is wrong: Checksum, Framing
	Why   string         // what is wrong: a sentence for the operator
}

// Framer cuts one stream. It is for one goroutine.
type Framer struct {
	cutter cutter
	max    int
	buffer []byte
	noise  []byte // of bytes that are no frame: the first
	lost   int    // how many of them there were
	proves bool   // a checksum makes a frame that is found by chance unlikely
	blamed int    // bytes at the buffer's begin that a bad frame was reported for already
}

// cutter looks at the begin of a buffer for one way of telling frames.
type cutter interface {
	// cut says what stands at the begin: a cut of size 0 needs more bytes. At the
	// end of a pause it may not say so of what can never be told to be whole.
	cut(b []byte, pause bool) cut
}

// cut is what stands at the begin of a buffer.
type cut struct {
	size   int    // bytes to take away; 0 for none yet
	body   []byte // of a good frame
	good   bool
	silent bool   // they mean nothing, and are no noise
	fault  *fault // of a frame that does not hold
}

// fault is why a frame does not hold.
type fault struct {
	event   evidence.Event
	claimed int           // bytes that it claims to have
	why     func() string // a sentence for the operator; it costs more than the finding
}

// noiseKept is how many bytes of noise are kept to be shown.
const noiseKept = 256

// New returns a framer, or all that is wrong with its configuration.
func New(c Config) (*Framer, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	sum := newProof(c.Checksum)
	f := &Framer{max: c.max(), proves: sum.algorithm.Size() > 1 || c.Length != nil && c.Length.Repeated && !sum.none()}
	switch {
	case c.Checksum.inBlocks():
		f.cutter = newBlocks(c, sum)
	case c.Length != nil, c.Size != 0:
		f.cutter = newSized(c, sum)
	case c.Between != nil:
		f.cutter = &between{
			start: []byte(c.Between.Start), end: []byte(c.Between.End), escape: []byte(c.Between.Escape), mask: first(c.Between.Mask), proof: sum, max: f.max,
		}
	case c.Stuffing == "slip":
		f.cutter = &delimited{end: []byte{slipEnd}, unpack: unslip, proof: sum, max: f.max}
	case c.Stuffing == "cobs":
		f.cutter = &delimited{end: []byte{0}, unpack: uncobs, proof: sum, max: f.max}
	default:
		f.cutter = &delimited{end: []byte(c.Delimiter), proof: sum, max: f.max}
	}
	return f, nil
}

func first(o Octets) byte {
	if o == "" {
		return 0
	}
	return o[0]
}

// Feed takes bytes in the order of the stream and calls yield with what they
// complete: good frames, and what was no frame.
func (f *Framer) Feed(b []byte, yield func(Frame)) {
	for len(b) > 0 {
		n := min(len(b), f.max)
		f.buffer = append(f.buffer, b[:n]...)
		b = b[n:]
		f.work(false, yield)
	}
}

// Idle says that the line paused for longer than within a frame. It finds good
// frames behind a false begin at once; nothing that may still become a frame is
// thrown away, but where a frame can prove nothing, the pause is its only end.
func (f *Framer) Idle(yield func(Frame)) {
	f.work(true, yield)
	f.flush(yield)
}

// Pending tells how many bytes wait for the rest of their frame.
func (f *Framer) Pending() int { return len(f.buffer) }

// work takes away what can be told of the buffer.
func (f *Framer) work(pause bool, yield func(Frame)) {
	at := 0
	for at < len(f.buffer) {
		c := f.cutter.cut(f.buffer[at:], pause)
		if c.size == 0 {
			if pause && f.proves && f.ahead(at, yield) {
				at = 0
				continue
			}
			break
		}
		f.take(at, c, yield)
		at += c.size
	}
	f.buffer = append(f.buffer[:0], f.buffer[at:]...)
}

// ahead looks behind a frame that is not whole yet for one that is, and takes
// away everything before it.
func (f *Framer) ahead(at int, yield func(Frame)) bool {
	for next := at + 1; next < len(f.buffer); next++ {
		if c := f.cutter.cut(f.buffer[next:], true); c.good && c.size > 0 {
			f.discard(f.buffer[at:next], yield)
			f.buffer = append(f.buffer[:0], f.buffer[next:]...)
			return true
		}
	}
	return false
}

// take reports what was cut at a place of the buffer.
func (f *Framer) take(at int, c cut, yield func(Frame)) {
	taken := f.buffer[at : at+c.size]
	switch {
	case c.silent:
		return
	case c.good:
		f.flush(yield)
		f.blamed = 0
		yield(Frame{Bytes: taken, Size: len(taken), Body: c.body, Event: evidence.Received})
		return
	case c.fault != nil && f.blamed == 0:
		f.flush(yield)
		yield(Frame{Bytes: f.buffer[at : at+c.fault.claimed], Size: c.fault.claimed, Event: c.fault.event, Why: c.fault.why()})
		f.blamed = c.fault.claimed
	}
	explained := min(f.blamed, c.size)
	f.blamed -= explained
	f.discard(taken[explained:], yield)
}

// discard notes bytes that are no frame. They are reported together, when a frame
// follows or there are many.
func (f *Framer) discard(b []byte, yield func(Frame)) {
	f.noise = append(f.noise, b[:min(len(b), noiseKept-len(f.noise))]...)
	if f.lost += len(b); f.lost >= f.max {
		f.flush(yield)
	}
}

// flush reports the noise.
func (f *Framer) flush(yield func(Frame)) {
	if f.lost == 0 {
		return
	}
	why := fmt.Sprintf("no frame: %d bytes", f.lost)
	if f.lost == 1 {
		why = "no frame: 1 byte"
	}
	yield(Frame{Bytes: f.noise, Size: f.lost, Event: evidence.Framing, Why: why})
	f.noise, f.lost = f.noise[:0], 0
}

// indexFrom is bytes.Index behind a place.
func indexFrom(b, mark []byte, from int) int {
	if from > len(b) {
		return -1
	}
	if i := bytes.Index(b[from:], mark); i >= 0 {
		return from + i
	}
	return -1
}
