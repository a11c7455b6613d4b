package ledger

import (
	"maps"
	"slices"

	"github.com/penstock/penstock"
)

// Books are the accounts of one controller, in reports. They balance:
//
//	Received = Accepted + Duplicate + the sum of Rejected
//	Accepted = Stored + StoredTwice + Waiting + Quarantined + Filtered + Discarded + Damaged
type Books struct {
	Received  uint64
	Accepted  uint64
	Duplicate uint64
	Rejected  map[penstock.Reason]uint64 // nil when there are none

	Stored      uint64 // committed: every sample is in the record
	StoredTwice uint64 // the record had the identity already
	Waiting     uint64 // in the spool, on the way to the record
	Quarantined uint64 // kept for a person to decide
	Filtered    uint64 // dropped on purpose by a step
	Discarded   uint64 // given up by a person
	Damaged     uint64 // could not be read any more and was asked for again
}

// Outcomes are the accounts of what a record did with a controller's reports.
type Outcomes struct{ Stored, StoredTwice, Quarantined, Discarded uint64 }

// RejectedTotal returns the sum over the reasons.
func (b *Books) RejectedTotal() uint64 {
	var n uint64
	for _, count := range b.Rejected {
		n += count
	}
	return n
}

// Balanced tells whether both equations hold.
func (b *Books) Balanced() bool {
	settled := b.Stored + b.StoredTwice + b.Quarantined + b.Filtered + b.Discarded + b.Damaged
	return b.Received == b.Accepted+b.Duplicate+b.RejectedTotal() && b.Accepted == settled+b.Waiting
}

// Add adds other's accounts to b's.
func (b *Books) Add(other *Books) {
	b.Received += other.Received
	b.Accepted += other.Accepted
	b.Duplicate += other.Duplicate
	for reason, n := range other.Rejected {
		b.reject(reason, n)
	}
	b.Stored += other.Stored
	b.StoredTwice += other.StoredTwice
	b.Waiting += other.Waiting
	b.Quarantined += other.Quarantined
	b.Filtered += other.Filtered
	b.Discarded += other.Discarded
	b.Damaged += other.Damaged
}

// Clone returns a copy that shares nothing with b.
func (b *Books) Clone() Books {
	c := *b
	c.Rejected = maps.Clone(b.Rejected)
	return c
}

func (b *Books) reject(reason penstock.Reason, n uint64) {
	if b.Rejected == nil {
		b.Rejected = map[penstock.Reason]uint64{}
	}
	b.Rejected[reason] += n
}

// rejections returns the rejections in the order of their reasons.
func (b *Books) rejections() []Rejection {
	var rs []Rejection
	for _, reason := range slices.Sorted(maps.Keys(b.Rejected)) {
		rs = append(rs, Rejection{reason, b.Rejected[reason]})
	}
	return rs
}

// Reclaim has the books own what the record settled and no entry tells of any more: a
// log that was lost, in part or as a whole, took its accounts of what was received with
// it. Duplicates and rejections that only it knew stay unknown.
func Reclaim(l *Ledger) {
	for _, a := range l.accounts {
		b := &a.books
		settled := b.Stored + b.StoredTwice + b.Quarantined + b.Filtered + b.Discarded + b.Damaged + b.Waiting
		if settled > b.Accepted {
			b.Received += settled - b.Accepted
			b.Accepted = settled
		}
	}
}
