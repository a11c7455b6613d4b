package wire

import (
	"bytes"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/evidence"
)

// rtu is the framing of serial lines: unit, PDU, CRC.
type rtu struct {
	sent []byte // the request that is under way
	echo bool   // it is still to come back
}

const (
	overhead = 3 // bytes around a PDU
	// maxDrain bounds how long a line may go on talking before a request.
	maxDrain = 500 * time.Millisecond
	minQuiet = 2 * time.Millisecond
)

// prepare waits until the line is quiet, and throws away what comes until then: it
// can only be late.
func (r *rtu) prepare(b *Bus) error {
	until := time.Now().Add(maxDrain)
	for {
		quiet := time.Now().Add(max(b.Quiet, minQuiet))
		more, err := b.drain(quiet)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if time.Now().After(until) {
			b.Seen(-1, evidence.Framing, b.buffer, "the line is never quiet")
			b.buffer = b.buffer[:0]
			return ErrDamaged
		}
	}
	r.blame(b)
	if port, ok := b.conn.(interface{ ResetInput() error }); ok {
		if err := port.ResetInput(); err != nil {
			return lost(err)
		}
	}
	return nil
}

// drain is fill without a gap.
func (b *Bus) drain(deadline time.Time) (bool, error) {
	gap := b.Gap
	b.Gap = 0
	more, err := b.fill(deadline)
	b.Gap = gap
	return more, err
}

// blame names what is in the buffer that no request asked for, and empties it.
func (r *rtu) blame(b *Bus) {
	for len(b.buffer) > 0 {
		size := wholeFrame(b.buffer)
		if size == 0 {
			b.Seen(-1, evidence.Framing, b.buffer, "bytes that nobody asked for and that make no frame")
			b.buffer = b.buffer[:0]
			return
		}
		b.Seen(int(b.buffer[0]), evidence.Late, b.buffer[:size], "an answer to no request, or to one before")
		b.drop(size)
	}
}

// wholeFrame returns the size of the answer at the beginning of b whose CRC
// holds, 0 for none.
func wholeFrame(b []byte) int {
	if len(b) < overhead+refusalSize {
		return 0
	}
	size := overhead + 2 + int(b[2])
	switch f := Function(b[1]); {
	case f&failed != 0:
		size = overhead + refusalSize
	case f == Diagnose:
		size = overhead + 5
	}
	if len(b) < size || !sealed(b[:size]) {
		return 0
	}
	return size
}

func (r *rtu) append(dst []byte, q Request) []byte {
	r.sent, r.echo = seal(q.appendPDU(append(dst, q.Unit))), true
	return r.sent
}

func (r *rtu) take(b *Bus, q Request) ([]byte, error) {
	if b.Echo && r.echo {
		if len(b.buffer) < len(r.sent) {
			return nil, nil
		}
		if bytes.HasPrefix(b.buffer, r.sent) {
			b.drop(len(r.sent))
		}
		r.echo = false
	}
	for start := range b.buffer {
		size := r.answerAt(b.buffer[start:], q)
		if size == 0 {
			continue
		}
		pdu := slices.Clone(b.buffer[start+1 : start+size-2])
		r.passOver(b, b.buffer[:start])
		b.drop(start + size)
		return pdu, nil
	}
	if size := wholeFrame(b.buffer); size > 0 { // the right one may follow
		r.passOver(b, b.buffer[:size])
		b.drop(size)
		return r.take(b, q)
	}
	return nil, nil
}

// answerAt returns the size of the answer to q that stands at the beginning of
// b, whole and with a CRC that holds, or 0.
func (r *rtu) answerAt(b []byte, q Request) int {
	if len(b) < overhead+refusalSize || b[0] != q.Unit {
		return 0
	}
	size := overhead + refusalSize
	switch pdu := b[1:]; {
	case q.refuses(pdu):
	case q.begins(pdu):
		size = overhead + q.answerSize()
	default:
		return 0
	}
	if len(b) < size || !sealed(b[:size]) {
		return 0
	}
	return size
}

// passOver names what came before the answer.
func (r *rtu) passOver(b *Bus, before []byte) {
	switch {
	case len(before) == 0:
	case bytes.Equal(before, r.sent):
		b.Seen(-1, evidence.Framing, before, "our own request came back: if the line does that, say echo")
	case wholeFrame(before) == len(before):
		b.Seen(int(before[0]), evidence.Late, before, "another answer came before the one that was asked for")
	default:
		b.Seen(-1, evidence.Framing, before, "bytes before the answer that make no frame")
	}
}

// give says what was wrong with what came. What came is thrown away: a request
// begins with an empty buffer.
func (r *rtu) give(b *Bus, q Request) error {
	came := b.buffer
	b.buffer = b.buffer[:0]
	switch {
	case len(came) == 0:
		return ErrTimeout
	case bytes.Equal(came, r.sent):
		r.passOver(b, came)
		return ErrTimeout
	case len(came) < overhead+refusalSize || came[0] == q.Unit && q.begins(came[1:]) && len(came) < overhead+q.answerSize():
		b.Seen(int(q.Unit), evidence.Framing, came, "the answer breaks off, or only noise came")
	default:
		b.Seen(int(q.Unit), evidence.Checksum, came, "no part of it has the checksum, unit, function and length of the answer to "+q.String())
	}
	return ErrDamaged
}
