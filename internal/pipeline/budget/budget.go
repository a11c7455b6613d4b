// Package budget bounds what each of many senders may send, in bounded memory.
package budget

import (
	"hash/maphash"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates are what a budget allows a second, of what is counted and of bytes, and
// for how many seconds of it at once.
type Rates struct {
	Counts float64
	Bytes  float64
	Burst  float64
}

// Budget is what one sender may still send. What something costs is known in full
// only after it was let in; so it is let in while anything is left, and its cost
// may leave a debt that must be paid off before the next.
type Budget struct {
	counts *rate.Limiter
	bytes  *rate.Limiter
}

func newBudget(r Rates) *Budget {
	limiter := func(perSecond float64) *rate.Limiter {
		return rate.NewLimiter(rate.Limit(perSecond), int(max(1, min(perSecond*r.Burst, math.MaxInt32))))
	}
	return &Budget{limiter(r.Counts), limiter(r.Bytes)}
}

// Wait returns how long the sender must wait, 0 when it may send now.
func (b *Budget) Wait(now time.Time) time.Duration {
	return max(waitFor(b.counts, now), waitFor(b.bytes, now))
}

func waitFor(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(time.Millisecond, time.Duration(missing/float64(l.Limit())*float64(time.Second)))
}

// ChargeCount takes n of what is counted.
func (b *Budget) ChargeCount(now time.Time, n int) { charge(b.counts, now, n) }

// ChargeBytes takes n bytes.
func (b *Budget) ChargeBytes(now time.Time, n int) { charge(b.bytes, now, n) }

// charge takes n tokens, into debt if need be: a limiter reserves at most its
// burst in one go.
func charge(l *rate.Limiter, now time.Time, n int) {
	for n > 0 {
		part := min(n, l.Burst())
		l.ReserveN(now, part)
		n -= part
	}
}

// unspent tells whether forgetting the budget would change nothing.
func (b *Budget) unspent(now time.Time) bool {
	return b.counts.TokensAt(now) >= float64(b.counts.Burst()) && b.bytes.TokensAt(now) >= float64(b.bytes.Burst())
}

const shardCount = 16

// Book keeps a budget a sender, in bounded memory: senders that do not fit share
// one. It is safe for concurrent use.
type Book struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

type shard struct {
	limit int

	mu       sync.Mutex // guards everything below
	budgets  map[string]*Budget
	overflow *Budget
	swept    time.Time
}

// NewBook returns a book for so many senders.
func NewBook(limit int) *Book {
	b := &Book{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].limit = max(1, limit/shardCount)
		b.shards[i].budgets = map[string]*Budget{}
	}
	return b
}

// Of returns the sender's budget, made with these rates when it is new.
func (b *Book) Of(sender string, r Rates, now time.Time) *Budget {
	s := &b.shards[maphash.String(b.seed, sender)%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.budgets[sender]; known != nil {
		return known
	}
	if len(s.budgets) >= s.limit {
		s.sweep(now)
	}
	if len(s.budgets) >= s.limit {
		if s.overflow == nil {
			s.overflow = newBudget(r)
		}
		return s.overflow
	}
	made := newBudget(r)
	s.budgets[strings.Clone(sender)] = made
	return made
}

// sweep forgets the budgets that are unspent, at most once a second.
func (s *shard) sweep(now time.Time) {
	if now.Sub(s.swept) < time.Second {
		return
	}
	s.swept = now
	for sender, b := range s.budgets {
		if b.unspent(now) {
			delete(s.budgets, sender)
		}
	}
}

// PeerKey returns what tells one peer from another: an IPv4 address without its
// port, the /64 network of an IPv6 address, since a host has all of it, and else
// the peer as it is, such as a serial line.
func PeerKey(peer string) string {
	host := peer
	if i := strings.LastIndexByte(peer, ':'); i >= 0 && (peer[0] == '[' || strings.IndexByte(peer, ':') == i) {
		host = strings.Trim(peer[:i], "[]")
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return peer
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	network, _ := addr.WithZone("").Prefix(64)
	return network.String()
}
