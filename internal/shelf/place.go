package shelf

import (
	"encoding/binary"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
)

// Place is how far a sink is, and its books.
type Place struct {
	Used    bool         // the sink was at work before
	Paused  bool         // by a person
	Settled interval.Set // positions of the spool that the sink needs no more
	GivenUp interval.Set // of these, what a sink that keeps its place itself was not told yet
	Books   Books

	next uint64 // number in the quarantine
}

// Books are what became of reports at one sink.
type Books struct {
	Delivered   uint64 // written; a report that was asked for again counts again
	Quarantined uint64 // in quarantine now
	Discarded   uint64 // given up by a person
	Dropped     uint64 // given up because the spool had no room for them, or lost them
	Refed       uint64 // positions that were delivered again, because the sink came back without them
}

// Clone returns a copy that shares nothing with p.
func (p *Place) Clone() Place {
	c := *p
	c.Settled, c.GivenUp = p.Settled.Clone(), p.GivenUp.Clone()
	return c
}

// placeVersion is the first byte of a place: then a byte of marks, the books and the
// next number of the quarantine as unsigned varints, the settled positions, and those that were given up.
const placeVersion = 1

const (
	markUsed   = 1 << 0
	markPaused = 1 << 1
)

func (b *Books) fields() [5]*uint64 {
	return [5]*uint64{&b.Delivered, &b.Quarantined, &b.Discarded, &b.Dropped, &b.Refed}
}

func (p *Place) append(dst []byte) []byte {
	var marks byte
	if p.Used {
		marks |= markUsed
	}
	if p.Paused {
		marks |= markPaused
	}
	dst = append(dst, placeVersion, marks)
	for _, v := range p.Books.fields() {
		dst = binary.AppendUvarint(dst, *v)
	}
	dst = binary.AppendUvarint(dst, p.next)
	return p.GivenUp.AppendBinary(p.Settled.AppendBinary(dst))
}

func readPlace(b []byte) (p Place, err error) {
	if len(b) < 2 {
		return p, damaged("place")
	}
	if b[0] != placeVersion {
		return p, penstock.Errorf(penstock.Unsupported, "the place of a sink has version %d, this program reads version %d: run the newer program", b[0], placeVersion)
	}
	p.Used, p.Paused = b[1]&markUsed != 0, b[1]&markPaused != 0
	r := reader{rest: b[2:]}
	for _, v := range p.Books.fields() {
		*v = r.uvarint()
	}
	if p.next = r.uvarint(); r.failed {
		return p, damaged("place")
	}
	rest := r.rest
	for _, set := range [...]*interval.Set{&p.Settled, &p.GivenUp} {
		if *set, rest, err = interval.Decode(rest); err != nil {
			return p, damaged("place")
		}
	}
	if len(rest) > 0 {
		return p, damaged("place")
	}
	return p, nil
}

func damaged(what string) error {
	return penstock.Errorf(penstock.Corrupt, "the %s of a sink is damaged in the store: restore the store from a backup", what)
}
