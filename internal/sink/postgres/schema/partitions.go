package schema

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
)

// Times before firstPeriod and from lastPeriod on have one partition each: they
// come from clocks that were never set. All others are divided.
const (
	firstPeriod = 946_684_800_000_000   // 2000-01-01 in microseconds since 1970
	lastPeriod  = 4_102_444_800_000_000 // 2100-01-01
	day         = 86_400_000_000
	// monday is a Monday, from which periods are counted.
	monday = 946_857_600_000_000 // 2000-01-03
)

// MaxPartitions bounds the partitions: controllers with wild clocks must not make
// one a sample.
const MaxPartitions = 2000

// span is the times of a partition, in microseconds since 1970, without the last.
type span struct {
	name  string
	from  int64
	until int64
}

// Partitions knows which times have a partition. What it knows may be out of date;
// then PostgreSQL refuses the samples, and Forget makes it look again.
type Partitions struct {
	schema Schema
	period int64  // microseconds
	spans  []span // sorted
	last   int    // of spans, where the time before was found
	known  bool
	whole  bool // the table is not ours to divide
}

// NewPartitions returns the partitions of the samples; new ones have the length of
// the period, which is a number of days. Where others stand already, they are cut
// to fit between them.
func NewPartitions(s Schema, period time.Duration) *Partitions {
	return &Partitions{schema: s, period: period.Microseconds()}
}

// Forget makes the next use look again.
func (p *Partitions) Forget() { p.known = false }

// find returns the index of the partition of a time, and whether there is one;
// otherwise where it would stand.
func (p *Partitions) find(micros int64) (int, bool) {
	if p.last < len(p.spans) && p.spans[p.last].from <= micros && micros < p.spans[p.last].until {
		return p.last, true
	}
	i := sort.Search(len(p.spans), func(i int) bool { return p.spans[i].until > micros })
	if i < len(p.spans) && p.spans[i].from <= micros {
		p.last = i
		return i, true
	}
	return i, false
}

// Load looks which partitions there are, unless that is known.
func (p *Partitions) Load(ctx context.Context, tx pgx.Tx) error {
	if p.known {
		return nil
	}
	ours, err := p.schema.partitioned(ctx, tx)
	if err != nil {
		return err
	}
	p.whole = !ours
	// Bounds are text, in the form that the session would write a time in, and are
	// read back by the same session. MINVALUE and MAXVALUE stand without quotes.
	rows, err := tx.Query(ctx, `SELECT relname, coalesce((extract(epoch FROM bounds[1]::timestamptz) * 1000000)::bigint, $2),
			coalesce((extract(epoch FROM bounds[2]::timestamptz) * 1000000)::bigint, $3)
		FROM (SELECT c.relname::text, regexp_match(pg_get_expr(c.relpartbound, c.oid),
				'FROM \((?:MINVALUE|''([^'']+)'')\) TO \((?:MAXVALUE|''([^'']+)'')\)') AS bounds
			FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = to_regclass($1)) AS parts
		WHERE bounds IS NOT NULL ORDER BY 2`, p.schema.SQL("{s}.samples"), int64(math.MinInt64), int64(math.MaxInt64))
	if err != nil {
		return err
	}
	p.spans, p.last = p.spans[:0], 0
	var s span
	_, err = pgx.ForEachRow(rows, []any{&s.name, &s.from, &s.until}, func() error {
		p.spans = append(p.spans, s)
		return nil
	})
	p.known = err == nil
	return err
}

// Missing collects times without a partition.
type Missing map[int64]bool // the first time of each

// Has tells whether samples of the time, in microseconds since 1970, can be
// stored, and otherwise notes in missing that a partition is needed; an error of
// code [penstock.Full] says that there can be no more. Load comes before.
func (p *Partitions) Has(micros int64, missing Missing) (bool, error) {
	if p.whole {
		return true, nil
	}
	i, found := p.find(micros)
	if found {
		return true, nil
	}
	from := p.gap(i, micros).from
	if !missing[from] && len(p.spans)+len(missing) >= MaxPartitions {
		return false, penstock.Errorf(penstock.Full, "the samples have %d partitions, which is the limit, and none for %s: is the controller's clock right?",
			MaxPartitions, time.UnixMicro(micros).UTC().Format(time.DateTime))
	}
	missing[from] = true
	return false, nil
}

// gap returns the partition that is to be made for a time, which would stand
// before spans[i]: its period, cut to fit.
func (p *Partitions) gap(i int, micros int64) span {
	s := span{from: math.MinInt64, until: math.MaxInt64}
	switch {
	case micros < firstPeriod:
		s.name, s.until = "samples_before_2000", firstPeriod
	case micros >= lastPeriod:
		s.name, s.from = "samples_from_2100", lastPeriod
	default:
		since := (micros - monday) % p.period
		if since < 0 {
			since += p.period
		}
		s.from = max(micros-since, firstPeriod)
		s.until = min(micros-since+p.period, lastPeriod)
	}
	if i > 0 {
		s.from = max(s.from, p.spans[i-1].until)
	}
	if i < len(p.spans) {
		s.until = min(s.until, p.spans[i].from)
	}
	if s.name == "" {
		s.name = "samples_" + time.UnixMicro(s.from).UTC().Format("20060102")
	}
	return s
}

// Make makes the missing partitions in the transaction. Others that make some
// wait for its end.
func (p *Partitions) Make(ctx context.Context, tx pgx.Tx, missing Missing) error {
	if len(missing) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", p.schema.lockKey()); err != nil {
		return err
	}
	p.Forget() // somebody may have made them meanwhile
	if err := p.Load(ctx, tx); err != nil {
		return err
	}
	times := make([]int64, 0, len(missing))
	for from := range missing {
		times = append(times, from)
	}
	slices.Sort(times)
	for _, from := range times {
		i, found := p.find(from)
		if found {
			continue
		}
		s := p.gap(i, from)
		if err := p.rename(ctx, tx, &s); err != nil {
			return err
		}
		if err := p.make(ctx, tx, s); err != nil {
			return fmt.Errorf("making partition %s: %w", s.name, err)
		}
		p.spans = slices.Insert(p.spans, i, s)
	}
	return nil
}

// rename gives the partition another name while there is a table of its name: one
// that was detached by hand.
func (p *Partitions) rename(ctx context.Context, tx pgx.Tx, s *span) error {
	for base, n := s.name, 2; ; n++ {
		var taken bool
		table := p.schema.SQL("{s}.") + pgx.Identifier{s.name}.Sanitize()
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&taken); err != nil || !taken {
			return err
		}
		s.name = fmt.Sprintf("%s_%d", base, n)
	}
}

// make makes one partition. A table that is attached keeps nobody waiting, unlike
// one that is created as a partition.
func (p *Partitions) make(ctx context.Context, tx pgx.Tx, s span) error {
	table := p.schema.SQL("{s}.") + pgx.Identifier{s.name}.Sanitize()
	bound := func(micros int64, open string) string {
		if micros == math.MinInt64 || micros == math.MaxInt64 {
			return open
		}
		return "'" + time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05.999999") + "+00'"
	}
	statements := fmt.Sprintf(`CREATE TABLE %[2]s (LIKE %[1]s INCLUDING ALL EXCLUDING INDEXES EXCLUDING COMMENTS);
		ALTER TABLE %[1]s ATTACH PARTITION %[2]s FOR VALUES FROM (%[3]s) TO (%[4]s);`,
		p.schema.SQL("{s}.samples"), table, bound(s.from, "MINVALUE"), bound(s.until, "MAXVALUE"))
	_, err := tx.Conn().PgConn().Exec(ctx, statements).ReadAll()
	return err
}
