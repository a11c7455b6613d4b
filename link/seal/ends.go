package seal

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// Controller seals what a controller sends, and opens what the gateway
// answers. It is not safe for concurrent use.
type Controller struct {
	key  *Key
	boot uint64 // as on the wire: with the question bit
	next uint32
	// A gateway, and each node that shares the key, has a boot of its own.
	gateways [4]guard
	evict    int
	data     associatedData
}

// NewController returns a seal for a start of the controller. Boot must be
// greater than at any start before, from 1 to 2^53 - 1. Two starts with one boot
// would give the key away. The error has code [penstock.Invalid].
func NewController(key *Key, boot uint64) (*Controller, error) {
	if boot == 0 || boot > penstock.MaxSequence {
		return nil, penstock.Errorf(penstock.Invalid, "boot %d is outside 1 to 2^53-1", boot)
	}
	return &Controller{key: key, boot: boot}, nil
}

// NewQuestion returns a seal for a controller that does not know its boot number,
// and asks for it in a hello of epoch 0: random has 63 random bits.
func NewQuestion(key *Key, random uint64) *Controller {
	return &Controller{key: key, boot: random | questionBit}
}

// Boot returns the boot number, which grows when the counter is used up.
func (c *Controller) Boot() uint64 { return c.boot &^ questionBit }

// Seal appends a datagram with the frames to dst and returns the longer slice.
func (c *Controller) Seal(dst, frames []byte) []byte {
	s := Header{Key: c.key.id, Boot: c.boot, Counter: c.next}
	if c.next++; c.next >= gatewayBit {
		c.next = 0
		c.boot++
	}
	return c.key.seal(dst, s, 0, frames, &c.data)
}

// Open appends the frames of a datagram from the gateway to dst. The error has
// the fault [link.FaultSeal], [link.FaultReplay] or one of [Parse].
func (c *Controller) Open(dst, datagram []byte) ([]byte, error) {
	s, err := Parse(datagram)
	if err == nil {
		err = c.key.check(s, true)
	}
	if err != nil {
		return dst, err
	}
	g := c.guard(s.Boot)
	if g != nil && g.seen(s.Counter) {
		return dst, replayed(s)
	}
	frames, err := c.key.open(dst, datagram, true, c.boot, &c.data)
	if err != nil {
		return dst, err
	}
	if g == nil {
		g = &c.gateways[c.evict]
		c.evict = (c.evict + 1) % len(c.gateways)
		*g = guard{boot: s.Boot}
	}
	g.note(s.Counter)
	return frames, nil
}

// guard returns the guard of a gateway's boot, nil when there is none.
func (c *Controller) guard(boot uint64) *guard {
	for i := range c.gateways {
		if g := &c.gateways[i]; g.next > 0 && g.boot == boot {
			return g
		}
	}
	return nil
}

// Gateway opens what the controllers of one key send, and seals the answers. It
// is not safe for concurrent use.
type Gateway struct {
	key   *Key
	boot  uint64
	next  uint32
	guard guard // of the controller's boot
	data  associatedData
}

// NewGateway returns a seal for a start of the gateway: boot has 64 random bits.
func NewGateway(key *Key, boot uint64) *Gateway { return &Gateway{key: key, boot: boot} }

// LastBoot returns the controller's highest boot number, 0 for none yet.
func (g *Gateway) LastBoot() uint64 { return g.guard.boot }

// Arrival tells how a datagram stands among those of its key.
type Arrival struct {
	Question bool   // nothing but a hello of epoch 0 or a time request may be in it
	Newest   bool   // newer than all before: answers go to where it came from
	Restart  bool   // the first of a boot
	Boot     uint64 // of the sender; an answer to a question needs it
}

// Open appends the frames of a datagram from a controller to dst. The error has
// the fault [link.FaultSeal], [link.FaultReplay] or one of [Parse]; the datagram is not
// to be answered then.
func (g *Gateway) Open(dst, datagram []byte) ([]byte, Arrival, error) {
	s, err := Parse(datagram)
	if err == nil {
		err = g.key.check(s, false)
	}
	if err == nil && !s.Question && (s.Boot < g.guard.boot || s.Boot == g.guard.boot && g.guard.seen(s.Counter)) {
		err = replayed(s)
	}
	if err == nil && !s.Question && (s.Boot == 0 || s.Boot > penstock.MaxSequence) {
		err = link.FaultSeal.Errorf("boot %d is outside 1 to 2^53-1", s.Boot)
	}
	if err != nil {
		return dst, Arrival{}, err
	}
	frames, err := g.key.open(dst, datagram, false, 0, &g.data)
	if err != nil {
		return dst, Arrival{}, err
	}
	a := Arrival{Question: s.Question, Boot: s.Boot}
	if s.Question {
		return frames, a, nil
	}
	if a.Restart = s.Boot > g.guard.boot; a.Restart {
		g.guard = guard{boot: s.Boot}
	}
	a.Newest = s.Counter >= g.guard.next
	g.guard.note(s.Counter)
	return frames, a, nil
}

// Seal appends a datagram with the frames for the controller to dst and returns the
// longer slice. It opens only for the boot of the newest datagram from there.
func (g *Gateway) Seal(dst, frames []byte) []byte {
	return g.key.seal(dst, g.header(), g.guard.boot, frames, &g.data)
}

// SealAnswer is [Gateway.Seal] for the answer to a question.
func (g *Gateway) SealAnswer(dst []byte, question Arrival, frames []byte) []byte {
	return g.key.seal(dst, g.header(), question.Boot|questionBit, frames, &g.data)
}

// header returns the next header. When the counter is used up the boot goes on
// to the next number, which is as little known as the first.
func (g *Gateway) header() Header {
	s := Header{Key: g.key.id, Boot: g.boot, Counter: g.next, FromGateway: true}
	if g.next++; g.next >= gatewayBit {
		g.next = 0
		g.boot++
	}
	return s
}

func replayed(s Header) error {
	return link.FaultReplay.Errorf("datagram %d of boot %d came before, or is too old to tell", s.Counter, s.Boot)
}
