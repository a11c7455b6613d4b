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
// in which it was asked, so what it owed has come by then, and was thrown away.
//
// Fences may be late themselves, and one that answers late must not be taken for
// one that was asked later, with something that matters in between. So as many
// answers are awaited as fences could still be on their way before that, and one
// more. A refusal has no length, so it may be the answer to anything: while a
// fence may be on its way, a refusal settles nothing.
type fence struct {
	ask  Request
	late int // fences whose answers may still come, at most maxLate
	need int // answers to fences that are awaited before the unit is asked again
}

// maxLate is how many answers a device may owe at most: more than any can hold.
const maxLate = 8

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

// settle asks fences of a unit that owes an answer, until it owes none that
// matters. Its error means that the unit still does.
func (b *Bus) settle(unit uint8, timeout time.Duration) error {
	f := b.owing[unit]
	for f != nil && f.need > 0 {
		_, err := b.exchange(f.ask, timeout)
		if errors.Is(err, ErrTimeout) {
			b.Seen(int(unit), evidence.Timeout, nil, "")
		}
		if err != nil {
			f.late = min(f.late+1, maxLate)
			return err
		}
		f.need--
	}
	return nil
}

// remember notes after a request whether the unit owes its answer.
func (b *Bus) remember(q Request, pdu []byte, err error) {
	f := b.owing[q.Unit]
	switch {
	case err == nil && (f == nil || f.late == 0 || !q.refuses(pdu)):
		delete(b.owing, q.Unit) // what was asked before was answered before
	case f != nil:
		f.need = f.late + 1
	case b.Fence != nil && (errors.Is(err, ErrTimeout) || errors.Is(err, ErrDamaged)):
		if ask, ok := b.Fence(q.Unit); ok {
			b.owing[q.Unit] = &fence{ask: ask, need: 1}
		}
	}
}
