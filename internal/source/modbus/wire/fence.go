package wire

import (
	"errors"
	"time"

	"github.com/penstock/penstock/internal/evidence"
)

// On an RTU line an answer that comes after its time looks like the answer to the
// next request for as much. So once a unit owes an answer, it is asked nothing
// that matters until it has answered a fence: a request for a number of
// registers that no other request to it asks for. A device answers in the order
// in which it was asked, so what it owed has come by then, and was thrown away;
// what can still come are answers to other fences, which fit no request.
//
// A device that refuses the fence has answered it too. Refusals have no length,
// though: as long as one may still come, a refusal settles nothing.
type fence struct {
	ask     Request
	sent    int  // since the unit owes an answer
	refused bool // by the answer that was taken for the fence's
}

// Fence returns the request by which a unit shows that it owes nothing: at the
// place of one of those that are asked of it, for another number than any of
// them.
func Fence(asked []Request) Request {
	if len(asked) == 0 {
		return Request{}
	}
	f := asked[0]
	taken := map[int]bool{}
	for _, q := range asked {
		if q.Count > f.Count {
			f = q
		}
		taken[q.dataBytes()] = true
	}
	for longest := int(f.Count); longest > 0; longest-- { // what is inside of it, the device has
		if f.Count = uint16(longest); !taken[f.dataBytes()] {
			return f
		}
	}
	for f.Count = 1; taken[f.dataBytes()]; f.Count++ {
	}
	if int(f.Address)+int(f.Count) > 1<<16 {
		f.Address = uint16(1<<16 - int(f.Count))
	}
	return f
}

// settle asks a fence of a unit that owes an answer. Its error means that the
// unit still does.
func (b *Bus) settle(unit uint8, timeout time.Duration) error {
	f := b.owing[unit]
	if f == nil {
		return nil
	}
	f.sent++
	pdu, err := b.exchange(f.ask, timeout)
	switch {
	case err == nil:
		f.refused = f.ask.refuses(pdu)
	case errors.Is(err, ErrTimeout):
		b.Seen(int(unit), evidence.Timeout, nil, "")
	}
	return err
}

// remember notes after a request whether the unit owes an answer.
func (b *Bus) remember(q Request, pdu []byte, err error) {
	f := b.owing[q.Unit]
	unsure := err == nil && f != nil && q.refuses(pdu) && (f.refused || f.sent > 1)
	switch {
	case err == nil && !unsure:
		delete(b.owing, q.Unit)
	case f != nil:
		f.sent = 0
	case b.Fence != nil && (errors.Is(err, ErrTimeout) || errors.Is(err, ErrDamaged)):
		if ask, ok := b.Fence(q.Unit); ok {
			b.owing[q.Unit] = &fence{ask: ask}
		}
	}
}
