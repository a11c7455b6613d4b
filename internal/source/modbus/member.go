package modbus

import (
	"cmp"
	"errors"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// member is a device on its line.
type member struct {
	health
	unit       uint8
	controller string
	page       *evidence.Page
	polls      []*poll
	slots      []slots // of the polls, and behind them of the diagnostics if there are any
	fence      wire.Request
	served     time.Time // when it was its turn last
}

func newMember(d *Device, m *Model, l *Line, page *evidence.Page, now time.Time) *member {
	b := &member{
		health: health{after: cmp.Or(l.Demote.After, defaultDemote), longest: cmp.Or(l.Demote.Probe, defaultProbe)},
		unit:   d.Unit, controller: d.Controller, page: page, polls: plan(d, m, l),
	}
	var asked []wire.Request
	for _, p := range b.polls {
		b.slots = append(b.slots, newSlots(p.every, now))
		for _, part := range p.blocks {
			asked = append(asked, part.ask)
			for _, smaller := range part.split() {
				asked = append(asked, smaller.ask)
			}
		}
	}
	b.fence = wire.Fence(asked)
	if d.Diagnostics > 0 {
		b.slots = append(b.slots, newSlots(d.Diagnostics, now))
	}
	return b
}

// tries returns how often a request is sent. A device that did not answer before
// gets one try: the others wait.
func (m *member) tries(p *poll) int {
	if m.failures > 0 {
		return 1
	}
	return 1 + p.retries
}

// refusalOf returns the code with which a device refused to answer, 0 for none.
func refusalOf(err error) wire.ExceptionCode {
	var e *wire.Exception
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// statusOf returns the status of points that could not be read because of err.
func statusOf(err error) penstock.Status {
	switch {
	case err == nil:
		return penstock.Good
	case errors.Is(err, wire.ErrTimeout):
		return penstock.BadTimeout
	case errors.Is(err, wire.ErrDamaged):
		return penstock.BadCommunicationError
	}
	switch refusalOf(err) {
	case 0, wire.PathUnavailable, wire.TargetSilent:
		return penstock.BadNoCommunication
	case wire.IllegalFunction, wire.IllegalAddress, wire.IllegalValue:
		return badConfiguration
	case wire.Acknowledge, wire.DeviceBusy:
		return badBusy
	}
	return badDevice
}

// Statuses of points whose device refused to answer, or said that it is not well.
const (
	badSensor        penstock.Status = 0x808C0000 // Bad_SensorFailure
	badDevice        penstock.Status = 0x808B0000 // Bad_DeviceFailure
	badConfiguration penstock.Status = 0x80890000 // Bad_ConfigurationError
	badBusy          penstock.Status = 0x80040000 // Bad_ResourceUnavailable
)

// isGone tells whether nobody is there to answer: the rest of a poll is not asked.
func isGone(err error) bool {
	code := refusalOf(err)
	return errors.Is(err, wire.ErrTimeout) || code == wire.PathUnavailable || code == wire.TargetSilent
}

// isAnswer tells whether the device itself has answered.
func isAnswer(err error) bool { return err == nil || refusalOf(err) != 0 && !isGone(err) }
