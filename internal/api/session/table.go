package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// Options are the limits of a [Table]. The zero Options are the defaults.
type Options struct {
	Sessions int           // at once: 1,000
	Each     int           // at once of one credential: 50
	Life     time.Duration // from signing in: 12 h
	Idle     time.Duration // without a request: 1 h
	Links    int           // that wait to be used, at once: 100
	LinkLife time.Duration // of one that nobody uses: 10 min
	Now      func() time.Time
	Rand     io.Reader
}

// Table holds who is signed in. It is safe for concurrent use.
type Table struct {
	o Options

	mu    sync.Mutex // guards what follows
	open  map[digest]*entry
	links map[digest]waiting
}

// waiting is a link that nobody has used.
type waiting struct {
	token string
	ends  time.Time
}

// digest is the SHA-256 of a session's id: who reads the memory of the table finds
// no cookie in it, and the time of a lookup tells nothing of an id.
type digest [sha256.Size]byte

type entry struct {
	token      string
	credential string
	ends       time.Time
	used       time.Time
}

// New returns a table in which nobody is signed in.
func New(o Options) *Table {
	for limit, fallback := range map[*int]int{&o.Sessions: 1000, &o.Each: 50, &o.Links: 100} {
		if *limit <= 0 {
			*limit = fallback
		}
	}
	for limit, fallback := range map[*time.Duration]time.Duration{&o.Life: 12 * time.Hour, &o.Idle: time.Hour, &o.LinkLife: 10 * time.Minute} {
		if *limit <= 0 {
			*limit = fallback
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &Table{o: o, open: map[digest]*entry{}, links: map[digest]waiting{}}
}

// Open begins a session of a credential that was verified, and returns its id, 256
// random bits, and when it ends at the latest. A table that is full refuses with
// code Limited.
func (t *Table) Open(credential, token string) (id string, ends time.Time, err error) {
	if id, err = t.secret(); err != nil {
		return "", time.Time{}, err
	}
	now := t.o.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	same := 0
	for _, e := range t.open {
		if e.credential == credential {
			same++
		}
	}
	if same >= t.o.Each || len(t.open) >= t.o.Sessions {
		return "", time.Time{}, penstock.RetryLater(penstock.Limited, time.Minute, "Too many sessions are open: sign out elsewhere, or wait until one ends.")
	}
	e := &entry{token: token, credential: credential, ends: now.Add(t.o.Life), used: now}
	t.open[sha256.Sum256([]byte(id))] = e
	return id, e.ends, nil
}

// secret returns 256 random bits as text.
func (t *Table) secret() (string, error) {
	var bits [32]byte
	if _, err := io.ReadFull(t.o.Rand, bits[:]); err != nil {
		return "", penstock.Errorf(penstock.Internal, "no random numbers for a session: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(bits[:]), nil
}

// Link returns a code that stands for a token that was verified, once, and when it
// ends. Too many that nobody used are refused with code Limited.
func (t *Table) Link(token string) (code string, ends time.Time, err error) {
	if code, err = t.secret(); err != nil {
		return "", time.Time{}, err
	}
	now := t.o.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.links {
		if !now.Before(l.ends) {
			delete(t.links, key)
		}
	}
	if len(t.links) >= t.o.Links {
		return "", time.Time{}, penstock.RetryLater(penstock.Limited, time.Minute, "Too many sign-in links wait to be used: use one, or wait until one ends.")
	}
	ends = now.Add(t.o.LinkLife)
	t.links[sha256.Sum256([]byte(code))] = waiting{token, ends}
	return code, ends, nil
}

// Redeem returns the token that a code stands for, and forgets the code.
func (t *Table) Redeem(code string) (token string, ok bool) {
	key := sha256.Sum256([]byte(code))
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.links[key]
	delete(t.links, key)
	return l.token, ok && t.o.Now().Before(l.ends)
}

// Token returns the token of a session that is open, and counts as a use of it.
func (t *Table) Token(id string) (token string, ok bool) {
	now := t.o.Now()
	key := sha256.Sum256([]byte(id))
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.open[key]
	if e == nil {
		return "", false
	}
	if t.over(e, now) {
		delete(t.open, key)
		return "", false
	}
	e.used = now
	return e.token, true
}

// Close ends a session; it is legal for one that is not open.
func (t *Table) Close(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, sha256.Sum256([]byte(id)))
}

// Len returns how many sessions are open, of which some may be over.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

func (t *Table) sweep(now time.Time) {
	for key, e := range t.open {
		if t.over(e, now) {
			delete(t.open, key)
		}
	}
}

func (t *Table) over(e *entry, now time.Time) bool {
	return !now.Before(e.ends) || now.Sub(e.used) >= t.o.Idle
}
