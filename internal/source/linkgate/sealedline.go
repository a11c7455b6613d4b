package linkgate

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
	"github.com/penstock/penstock/link/seal"
	"github.com/penstock/penstock/link/session"
)

// lineKey is a key that was used on a sealed line.
type lineKey struct {
	id       uint64
	gate     *seal.Gateway
	scope    func(controller string) bool // whether the key is for a controller, as it is now
	question time.Time                    // when the next question is answered
}

// heard is what stood in a block.
type heard struct {
	link.Frame
	key     *lineKey // nil in the clear
	arrival seal.Arrival
	echo    bool // it is the gateway's own
}

func (h *heard) name() string {
	if h.Kind == 0 {
		return "sealed block"
	}
	return h.Kind.String()
}

// hear reads a block: a frame, which is sealed where the line is. The gateway's own
// turns are in the clear on every line, and may come back.
func (l *line) hear(block []byte) (heard, error) {
	if l.config.Sealed && seal.IsSealed(block) {
		return l.unseal(block)
	}
	f, err := link.WholeFrame(block, l.largest)
	if err != nil {
		return heard{}, err
	}
	if l.config.Sealed && !f.Kind.FromGateway() {
		return heard{}, link.FaultSeal.Errorf("a %v in the clear on a line that is sealed: give the controller its key, or it is not its own", f.Kind)
	}
	return heard{Frame: f, echo: f.Kind.FromGateway()}, nil
}

// unseal opens a block. Its key is looked up each time, so that a revocation holds at
// once. l.mu is held.
func (l *line) unseal(block []byte) (heard, error) {
	h, err := seal.Parse(block)
	if err != nil {
		return heard{}, err
	}
	if h.FromGateway {
		return heard{echo: true}, nil
	}
	id := binary.BigEndian.Uint64(h.Key[:])
	secret, principal, err := l.env.Keys.Key(id)
	if err != nil {
		return heard{}, err
	}
	k := l.keys[h.Key]
	if k == nil {
		key, err := seal.NewKey(h.Key, secret)
		if err != nil {
			return heard{}, err
		}
		k = &lineKey{id: id, gate: seal.NewGateway(key, l.boot)}
	}
	frame, arrival, err := k.gate.Open(nil, block)
	if err != nil {
		return heard{}, err
	}
	k.scope = principal.Scope.Covers
	l.keys[h.Key] = k // only keys that the fleet has, and that seal something, are remembered
	f, err := link.WholeFrame(frame, l.largest)
	return heard{Frame: f, key: k, arrival: arrival}, err
}

// proven tells whether a sealed block is of the controller whose address it has. What
// is said to it from now on is sealed under the same key.
func (l *line) proven(st *station, h *heard, block []byte) bool {
	if !h.key.scope(st.Name) {
		l.port.Bad(evidence.Refused, block, fmt.Sprintf("the key %016x speaks at address %d, and is not one of %s", h.key.id, st.Address, st.Name))
		return false
	}
	if h.arrival.Question {
		return true
	}
	if st.key = h.key; h.arrival.Restart {
		l.renew(st)
	}
	st.from.lastBoot = h.key.gate.LastBoot()
	return true
}

// ask answers a controller that has lost its boot number, without touching its
// session.
func (l *line) ask(st *station, h *heard) {
	now := l.env.Now()
	if h.Kind == link.KindOver {
		return
	}
	if now.Before(h.key.question) {
		l.port.Count(evidence.Refused)
		return
	}
	h.key.question = now.Add(questionEach)
	m := &member{from: st.from, Receiver: session.NewReceiver(l.receiver(st), now)}
	m.from.lastBoot = h.key.gate.LastBoot()
	if l.desk.question(m, h.Frame) {
		l.out = cobs.Append(l.out, h.key.gate.SealAnswer(nil, h.arrival, m.Output()))
	}
}

// put appends a frame for a station as it goes over the line. On a sealed line
// nothing can be said to one that was not heard yet.
func (l *line) put(st *station, frame []byte) {
	switch {
	case !l.config.Sealed:
		l.out = cobs.Append(l.out, frame)
	case st.key != nil:
		l.out = cobs.Append(l.out, st.key.gate.Seal(nil, frame))
	}
}

// receiver returns the settings of a station's session.
func (l *line) receiver(st *station) session.ReceiverConfig {
	return session.ReceiverConfig{
		Address: st.Address, Window: int(l.config.Window), Largest: l.config.payload(), Heartbeat: l.config.Heartbeat,
		SameDisk: l.env.SameDisk, Implicit: l.config.Sealed,
	}
}
