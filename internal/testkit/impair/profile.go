package impair

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Profile says what happens on one way, in each direction. Shares are of all
// packets (of a stream: of all chunks that a read brought), from 0 to 1.
type Profile struct {
	Loss      float64
	Duplicate float64
	Reorder   float64 // overtaken by what comes after it; on datagrams only
	Corrupt   float64 // one to eight bits are flipped
	BitErrors float64 // each bit is flipped with this probability, beside Corrupt
	Noise     float64 // on streams: random bytes are put before the chunk
	Cut       float64 // on streams: the chunk loses its end
	Delay     time.Duration
	Jitter    time.Duration // more or less than Delay
	Rate      int           // bytes a second, 0 for no limit
	Seed      uint64
}

// Counts are what an impairment did in one direction.
type Counts struct {
	Packets, Bytes                    uint64 // that came in
	Lost, Duplicated, Reordered       uint64
	Corrupted, Flipped, Noise, Cutoff uint64 // packets hit, bits flipped, bytes put in, bytes cut away
}

// direction is one of the two directions.
type direction struct {
	mu      sync.Mutex // guards everything below
	profile Profile
	rng     *rand.Rand
	counts  Counts
	free    time.Time // when the line has sent what is on it
}

func newDirection(p Profile, salt uint64) *direction {
	return &direction{profile: p, rng: rand.New(rand.NewPCG(p.Seed, salt))}
}

func (d *direction) set(p Profile) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.profile = p
}

func (d *direction) told() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

func (d *direction) chance(p float64) bool { return p > 0 && d.rng.Float64() < p }

// damage flips bits in b as the profile says. d.mu is held.
func (d *direction) damage(b []byte) {
	p, flipped := d.profile, uint64(0)
	if d.chance(p.Corrupt) && len(b) > 0 {
		for range 1 + d.rng.IntN(8) {
			b[d.rng.IntN(len(b))] ^= 1 << d.rng.IntN(8)
			flipped++
		}
	}
	if p.BitErrors > 0 {
		for i := d.gap(); i < len(b)*8; i += 1 + d.gap() {
			b[i/8] ^= 1 << (i % 8)
			flipped++
		}
	}
	if flipped > 0 {
		d.counts.Corrupted++
		d.counts.Flipped += flipped
	}
}

// gap draws how many bits stay whole before the next error.
func (d *direction) gap() int {
	return int(min(d.rng.ExpFloat64()/d.profile.BitErrors, 1<<40))
}

// due returns when a packet of n bytes that came now arrives: after what is on
// the line before it, the time its bytes take, and the delay. d.mu is held.
func (d *direction) due(now time.Time, n int) time.Time {
	p := d.profile
	at := now
	if p.Rate > 0 {
		if d.free.Before(now) {
			d.free = now
		}
		d.free = d.free.Add(time.Duration(n) * time.Second / time.Duration(p.Rate))
		at = d.free
	}
	at = at.Add(p.Delay)
	if p.Jitter > 0 {
		at = at.Add(time.Duration((2*d.rng.Float64() - 1) * float64(p.Jitter)))
	}
	return at
}
