package schema

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
)

const week = 7 * 24 * time.Hour

// add does what Make does to what is known.
func (p *Partitions) add(t interface{ Fatalf(string, ...any) }, micros int64) {
	i, found := p.find(micros)
	if found {
		return
	}
	s := p.gap(i, micros)
	if s.from > micros || micros >= s.until {
		t.Fatalf("the partition %s from %d until %d is not that of %d", s.name, s.from, s.until, micros)
	}
	p.spans = append(p.spans[:i], append([]span{s}, p.spans[i:]...)...)
}

// TestPartitionsNeverOverlap makes partitions for any times, with lengths that
// change.
func TestPartitionsNeverOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPartitions(New("penstock"), week)
		const most = math.MaxInt64 / 1000
		for range rapid.IntRange(1, 60).Draw(t, "times") {
			p.period = int64(rapid.SampledFrom([]int{1, 7, 30}).Draw(t, "days")) * day
			micros := rapid.OneOf(rapid.Int64Range(-most, most), rapid.Int64Range(1_767_225_600_000_000, 1_800_000_000_000_000),
				rapid.Int64Range(firstPeriod-day, firstPeriod+40*day), rapid.Int64Range(lastPeriod-40*day, lastPeriod+day)).Draw(t, "time")
			p.add(t, micros)
			if i, found := p.find(micros); !found || p.spans[i].from > micros || p.spans[i].until <= micros {
				t.Fatalf("no partition for %d after it was made: %+v", micros, p.spans)
			}
		}
		names := map[string]bool{}
		for i, s := range p.spans {
			if s.from >= s.until || i > 0 && s.from < p.spans[i-1].until {
				t.Fatalf("partitions overlap: %+v", p.spans)
			}
			names[s.name] = true
		}
		if len(names) != len(p.spans) {
			t.Fatalf("two partitions have one name: %+v", p.spans)
		}
	})
}

// TestPartitionsAreBounded has a clock run wild: what has a partition is stored, and
// no more are made.
func TestPartitionsAreBounded(t *testing.T) {
	p := NewPartitions(New("penstock"), week)
	p.period = day
	missing := Missing{}
	for i := range int64(MaxPartitions) {
		micros := firstPeriod + i*day
		if _, err := p.Has(micros, missing); err != nil {
			t.Fatalf("partition %d: %v", i+1, err)
		}
		if i%2 == 0 { // the others are yet to be made
			p.add(t, micros)
			delete(missing, micros)
		}
	}
	if _, err := p.Has(firstPeriod+(MaxPartitions+5)*day, missing); penstock.CodeOf(err) != penstock.Full {
		t.Errorf("one more than the limit: %v", err)
	}
	if found, err := p.Has(firstPeriod+6*day, missing); !found || err != nil {
		t.Errorf("a time that has its partition: %v, %v", found, err)
	}
}
