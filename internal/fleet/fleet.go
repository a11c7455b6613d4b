package fleet

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/fleet/point"
	"github.com/penstock/penstock/internal/fleet/row"
)

// A Table keeps small records, below 1 MiB, under short keys. Put, PutAll and
// Delete return only when the change is durable; PutAll changes all or nothing.
// Scan may yield in any order. Keys hold numbers and never names.
type Table interface {
	Put(key, value []byte) error
	PutAll(values map[string][]byte) error // by key
	Delete(key []byte) error
	Scan(yield func(key, value []byte) error) error
}

// Policy says what becomes of a controller that the fleet does not know.
type Policy string

// The policies.
const (
	RegisterUnknown Policy = "register" // it is registered on first sight
	HoldUnknown     Policy = "hold"     // its reports are refused until a person admits it
	RejectUnknown   Policy = "reject"   // its reports are refused
)

// Validate returns an error of code [penstock.Invalid] when the policy is none of
// these, or empty.
func (p Policy) Validate() error {
	switch p {
	case "", RegisterUnknown, HoldUnknown, RejectUnknown:
		return nil
	}
	return penstock.Errorf(penstock.Invalid, "%q is none of register, hold and reject", string(p))
}

// Limits bound the memory of a fleet. A zero field takes its default.
type Limits struct {
	Controllers         int // registered controllers: 100,000
	Held                int // controllers listed as held: 1,000, those last seen longest ago make room
	PointsPerController int // 10,000
	Points              int // of all controllers: 1,000,000
	Credentials         int // 100,000, the revoked ones included
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.Controllers, 100_000},
		{&l.Held, 1_000},
		{&l.PointsPerController, 10_000},
		{&l.Points, 1_000_000},
		{&l.Credentials, 100_000},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return l
}

// Declaration says beforehand what a point is.
type Declaration = point.Declaration

// Refusal says why a report is not taken.
type Refusal = point.Refusal

// Options are what a fleet needs beside its table.
type Options struct {
	Now      func() time.Time // the gateway's clock
	Rand     io.Reader        // a source of secrets, crypto/rand.Reader
	Unknown  Policy           // RegisterUnknown when empty
	Declared []Declaration    // the first that matches a point holds
	Limits   Limits
}

// Fleet is the registry of credentials, controllers and points. It is safe for
// concurrent use.
type Fleet struct {
	*credential.Book

	table    Table
	unknown  Policy
	declared *point.Declarations
	limits   Limits

	mu          sync.RWMutex // guards controllers and pages
	controllers map[string]*controller
	pages       []*page

	waiting sync.Mutex // guards held; taken after mu where both are
	held    map[string]*Controller

	points atomic.Int64 // of all controllers

	writing sync.Mutex // held while pages are written to the table

	importing sync.Mutex // held through an import; taken before all others
	nextSheet uint64     // number of the next record of imported points; guarded by importing
}

// Open returns the fleet that table holds, or an error of code
// [penstock.Invalid] when an option breaks a rule, [penstock.Corrupt] when a
// record cannot be read and [penstock.Unsupported] when a newer version wrote it.
func Open(table Table, o Options) (*Fleet, error) {
	f := &Fleet{
		table:       table,
		unknown:     o.Unknown,
		limits:      o.Limits.withDefaults(),
		controllers: map[string]*controller{},
		held:        map[string]*Controller{},
	}
	f.Book = credential.NewBook(credential.Options{Table: table, Now: o.Now, Rand: o.Rand, Limit: f.limits.Credentials, Admit: f.admitNamed})
	if err := o.Unknown.Validate(); err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "unknown: %w", err)
	}
	if f.unknown == "" {
		f.unknown = RegisterUnknown
	}
	declared, err := point.Compile(o.Declared)
	if err != nil {
		return nil, err
	}
	f.declared = declared
	var sheets []sheet // for when all controllers are known
	err = table.Scan(func(key, value []byte) error {
		if len(key) != row.KeySize || key[0] != row.Sheet {
			return f.load(key, value)
		}
		s, err := readSheet(key, value)
		sheets = append(sheets, s)
		return err
	})
	for i := 0; err == nil && i < len(sheets); i++ {
		err = sheets[i].load(f)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// load takes one record of the table into the fleet that is being opened.
func (f *Fleet) load(key, value []byte) error {
	if len(key) != row.KeySize {
		return penstock.Errorf(penstock.Corrupt, "fleet: a key of %d bytes in the table, want %d", len(key), row.KeySize)
	}
	switch key[0] {
	case row.Credential:
		return credential.Load(f.Book, key, value)
	case row.Page:
		return f.loadPage(key, value)
	}
	return penstock.Errorf(penstock.Unsupported, "fleet: a record of kind %q, which this version does not know: use the version that wrote it", key[0])
}
