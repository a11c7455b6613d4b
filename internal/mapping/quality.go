package mapping

import (
	"math"
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/tree"
)

// badNoData is the status of a point that the payload should have and has not.
const badNoData penstock.Status = 0x809B0000

// quality reads the statuses of one Status.
type quality struct {
	value  tree.Template
	values map[string]penstock.Status
	bits   map[uint]penstock.Status
	other  penstock.Status
}

func (c *compiler) quality(key string, s *Status, depth int) *quality {
	if s == nil {
		return nil
	}
	q := &quality{value: c.required(key+".value", s.Value, depth), other: penstock.Uncertain}
	if s.Other != "" {
		q.other = c.status(key+".other", s.Other)
	}
	if len(s.Values) > 0 {
		q.values = map[string]penstock.Status{}
		for value, name := range s.Values {
			q.values[value] = c.status(key+".values."+value, name)
		}
	}
	if len(s.Bits) > 0 {
		q.bits = map[uint]penstock.Status{}
		for bit, name := range s.Bits {
			n, err := strconv.ParseUint(bit, 10, 6)
			if err != nil {
				c.refuse(key+".bits."+bit, "is no number of a bit from 0 to 63")
			}
			q.bits[uint(n)] = c.status(key+".bits."+bit, name)
		}
	}
	if q.values != nil && q.bits != nil {
		c.refuse(key+".bits", "a status is found by its values or by its bits, not by both")
	}
	return q
}

func (c *compiler) status(key, name string) penstock.Status {
	s, err := penstock.ParseStatus(name)
	c.check(key, err)
	return s
}

// read returns the status, and the device's own bits where they are a number.
func (q *quality) read(s *scope) (status penstock.Status, native uint32, err error) {
	found, ok, err := s.value(&q.value)
	if err != nil {
		return 0, 0, err
	}
	v, isValue := found.(penstock.Value)
	if !ok || !isValue || v.Kind() == penstock.None {
		return q.other, 0, nil // the quality of the value is not known
	}
	number, whole := wholeBits(v)
	if whole && v.Kind() != penstock.Bool && number <= math.MaxUint32 {
		native = uint32(number)
	}
	switch {
	case q.bits != nil && whole:
		return q.worst(number), native, nil
	case q.bits != nil:
		return q.other, native, nil
	case q.values != nil:
		if known, ok := q.values[plain(v)]; ok {
			return known, native, nil
		}
		return q.other, native, nil
	}
	if status, err = penstock.ParseStatus(plain(v)); err != nil {
		return q.other, native, nil
	}
	return status, 0, nil
}

// worst returns the worst status of the bits that are set; good when none is.
func (q *quality) worst(number uint64) penstock.Status {
	worst := penstock.Good
	for bit := range uint(64) {
		if s, known := q.bits[bit]; known && number>>bit&1 == 1 && (s.Worse(worst) || worst == penstock.Good) {
			worst = s
		}
	}
	return worst
}

// wholeBits returns the bits of a whole number, also where it is text.
func wholeBits(v penstock.Value) (uint64, bool) {
	switch v.Kind() {
	case penstock.Int64, penstock.Uint64, penstock.Bool:
		return v.Bits(), true
	case penstock.Text:
		n, err := strconv.ParseUint(v.Text(), 0, 64)
		return n, err == nil
	}
	return 0, false
}
