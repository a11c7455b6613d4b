package modbus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/modbus/wire"
	"github.com/penstock/penstock/link"
)

// line polls the devices on one way to them, one request at a time.
type line struct {
	config  *Line
	source  string
	owner   *penstock.Principal
	open    opener
	now     func() time.Time
	log     *slog.Logger
	port    *evidence.Page
	board   *board
	out     *outbox
	members []*member
	byUnit  map[int]*member

	bus    *wire.Bus        // nil while there is none
	serial *serialport.Port // what the bus is on, when it is a serial line
	stop   func() bool      // ends the watch that closes the bus with the context
	openAt time.Time        // not before
	again  time.Duration    // until the attempt after the next
	isDown bool             // the last attempt failed, or the connection broke
	silent int              // requests in a row without any answer
}

// maxNap is how long the clock may step and nobody notices.
const maxNap = 10 * time.Second

// run polls until ctx ends.
func (l *line) run(ctx context.Context) {
	for ctx.Err() == nil {
		now := l.now()
		m, i, next := l.pick(now)
		if l.bus == nil && !now.Before(l.openAt) && (m != nil || !l.config.Quirks.OneConnection) {
			l.connect(ctx)
			continue
		}
		if m != nil {
			l.serve(m, i, now)
			continue
		}
		if m, timeout := l.probing(now, next); m != nil {
			l.probe(m, timeout)
			continue
		}
		if l.bus != nil && l.config.Quirks.OneConnection {
			l.disconnect()
		}
		source.Pause(ctx, min(l.waking(next).Sub(now), maxNap))
	}
	if l.bus != nil {
		l.disconnect()
	}
}

// pick returns the device and the number of its poll whose slot has begun and
// ends first; among equals, the device that has waited longest. When there is
// none, next is the beginning of the next slot.
func (l *line) pick(now time.Time) (chosen *member, number int, next time.Time) {
	var deadline time.Time
	for _, m := range l.members {
		for i := range m.slots {
			s := &m.slots[i]
			if !s.due(now) {
				if next.IsZero() || s.next.Before(next) {
					next = s.next
				}
				continue
			}
			d := s.deadline()
			if chosen == nil || d.Before(deadline) || d.Equal(deadline) && m.served.Before(chosen.served) {
				chosen, number, deadline = m, i, d
			}
		}
	}
	return chosen, number, next
}

// waking returns when there is something to do again.
func (l *line) waking(next time.Time) time.Time {
	if l.bus == nil {
		if !l.config.Quirks.OneConnection && l.openAt.Before(next) {
			return l.openAt
		}
		return next
	}
	for _, m := range l.members {
		if m.dead && m.probe.Before(next) && m.probe.After(l.now()) {
			next = m.probe
		}
	}
	return next
}

// probing returns the dead device that is to be probed now, and how long it may
// take to answer: the time until the next slot, so that no other waits. When
// that was too short for too long, one slot waits.
func (l *line) probing(now, next time.Time) (*member, time.Duration) {
	if l.bus == nil {
		return nil, 0
	}
	for _, m := range l.members {
		if !m.dead || now.Before(m.probe) {
			continue
		}
		timeout := m.polls[0].timeout
		free := next.Sub(now)
		if free >= timeout/4 {
			return m, min(timeout, free)
		}
		if now.Sub(m.probe) > m.longest {
			return m, timeout
		}
	}
	return nil, 0
}

// probe asks a dead device for the first that it has to tell.
func (l *line) probe(m *member, timeout time.Duration) {
	_, err := l.bus.Ask(m.polls[0].blocks[0].ask, timeout)
	if !l.check(err) {
		return
	}
	if !isAnswer(err) {
		m.silent(l.now())
		return
	}
	m.answered()
	l.log.Info("a device answers again", "controller", m.controller, "peer", l.port.Name())
}

// check closes a bus that is of no more use after a request, and tells whether
// the request's outcome says anything about the device.
func (l *line) check(err error) bool {
	timeout := errors.Is(err, wire.ErrTimeout)
	if timeout {
		l.silent++
	} else {
		l.silent = 0
	}
	broken := l.bus.Broken()
	switch {
	case broken != nil && timeout: // nothing is wrong but that it must be made anew
		l.disconnect()
	case broken != nil && !l.stop():
		return false // it did not break: the source ends, and closed it
	case broken != nil:
		l.port.Count(evidence.Lost)
		l.disconnect()
		l.down(broken)
		return false
	case l.silent >= maxSilent && l.serial == nil: // the other end may be gone without a word
		l.disconnect()
	}
	return true
}

// maxSilent is after how many requests without an answer a connection is made
// anew.
const maxSilent = 5

// serve does what is due, and sends off what there is to report.
func (l *line) serve(m *member, number int, now time.Time) {
	m.served = now
	slot, missed := m.slots[number].take(now)
	m.page.Add(evidence.Gap, uint64(missed))
	if number == len(m.polls) {
		l.diagnose(m)
		return
	}
	p := m.polls[number]
	samples := p.samples(l.read(m, p), slot)
	l.countFaults()
	if len(samples) == 0 {
		return
	}
	r := penstock.Report{Controller: m.controller, Samples: samples}
	l.out.put(parcel{controller: m.page, envelope: penstock.Envelope{
		Source: l.source, Peer: l.port.Name(), ContentType: link.MediaType, Body: link.AppendReport(nil, &r),
		ReceivedTime: l.now().UnixNano(), Principal: l.owner,
	}})
}

// read asks for all that a poll wants, and takes what it gets.
func (l *line) read(m *member, p *poll) *answers {
	a := &answers{absent: penstock.BadNoCommunication}
	if l.bus == nil || m.dead {
		return a
	}
	answered := false
	for i := 0; i < len(p.blocks); i++ { // a block may be split on the way
		b := p.blocks[i]
		data, err := l.ask(b.ask, p.timeout, m.tries(p))
		if l.bus == nil && !errors.Is(err, wire.ErrTimeout) { // it says nothing about the device
			return a
		}
		if l.splits(p, i, err) {
			i--
			continue
		}
		a.got = append(a.got, answer{b, data, statusOf(err)})
		answered = answered || isAnswer(err)
		if isGone(err) || l.bus == nil {
			a.absent = statusOf(err)
			break
		}
	}
	l.judge(m, answered)
	return a
}

// judge draws the conclusion for a device from one poll.
func (l *line) judge(m *member, answered bool) {
	switch was := m.dead; {
	case answered && m.failures > 0:
		m.answered()
	case !answered:
		m.silent(l.now())
		if m.dead && !was {
			l.log.Warn("a device does not answer; it is probed from now on", "controller", m.controller, "peer", l.port.Name())
		}
	}
}

// ask tries a request several times. When it returns, the bus may be gone.
func (l *line) ask(q wire.Request, timeout time.Duration, tries int) (data []byte, err error) {
	for range tries {
		data, err = l.bus.Ask(q, timeout)
		l.check(err)
		if l.bus == nil || !errors.Is(err, wire.ErrTimeout) && !errors.Is(err, wire.ErrDamaged) {
			break
		}
	}
	return data, err
}

// splits cuts a block into what is wanted of it, when a device refuses to read
// what is between.
func (l *line) splits(p *poll, i int, err error) bool {
	if refusalOf(err) != wire.IllegalAddress {
		return false
	}
	parts := p.blocks[i].split()
	if parts == nil {
		return false
	}
	l.log.Info("a device refuses registers that nobody wants: they are left out from now on", "peer", l.port.Name(), "request", p.blocks[i].ask.String())
	p.blocks = append(p.blocks[:i:i], append(parts, p.blocks[i+1:]...)...)
	return true
}

// The counters of a device that are asked for.
const (
	counterMessages = 0x0B
	counterChecksum = 0x0C
)

// diagnose asks a device what it has counted itself.
func (l *line) diagnose(m *member) {
	if l.bus == nil || m.dead {
		return
	}
	for counter, quantity := range map[uint16]evidence.Quantity{counterMessages: evidence.PeerMessages, counterChecksum: evidence.PeerChecksum} {
		data, err := l.ask(wire.Request{Unit: m.unit, Function: wire.Diagnose, Address: counter}, m.polls[0].timeout, 1)
		if refusalOf(err) != 0 {
			m.slots = m.slots[:len(m.polls)]
			l.log.Info("a device has no diagnostics: it is not asked for them again", "controller", m.controller, "peer", l.port.Name())
		}
		if err != nil {
			return
		}
		m.page.Signal(quantity, float64(uint16(data[0])<<8|uint16(data[1])))
	}
}
