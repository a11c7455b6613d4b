package schema

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
)

// Schema is the tables in one schema of a database.
type Schema struct {
	name  string // as an identifier, quoted
	bare  string
	steps []migration
}

// New returns the tables in the schema of the name.
func New(name string) Schema { return Schema{pgx.Identifier{name}.Sanitize(), name, steps} }

// SQL returns the statement with the schema's name for each {s}.
func (s Schema) SQL(statement string) string { return strings.ReplaceAll(statement, "{s}", s.name) }

// lockKey is the number of the advisory lock under which the tables of the schema
// are changed.
func (s Schema) lockKey() int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("penstock schema " + s.bare))
	return int64(h.Sum64())
}

// minVersion is the oldest PostgreSQL: it has multiranges.
const minVersion = 140000

// Check returns an error when the server cannot keep what Penstock promises. The
// error says what to do.
func (s Schema) Check(ctx context.Context, tx pgx.Tx) error {
	var version int
	var name, encoding, fsync, recovery string
	err := tx.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
		current_setting('server_encoding'), current_setting('fsync'), pg_is_in_recovery()::text`).Scan(&version, &name, &encoding, &fsync, &recovery)
	switch {
	case err != nil:
		return err
	case version < minVersion:
		return penstock.Errorf(penstock.Unsupported, "the server is PostgreSQL %s; Penstock needs 14 or later", name)
	case encoding != "UTF8":
		return penstock.Errorf(penstock.Unsupported, "the database has the encoding %s; make one with ENCODING 'UTF8'", encoding)
	case fsync != "on":
		return penstock.Errorf(penstock.Invalid, "the server runs with fsync = %s: a power cut would lose what it calls committed; set fsync = on", fsync)
	case recovery != "false":
		return penstock.Errorf(penstock.Unavailable, "the server is a standby, which takes no writes; name the primary too, or instead")
	}
	return nil
}

// knows is the version of the tables that this program knows.
func (s Schema) knows() int { return s.steps[len(s.steps)-1].number }

// Migrate makes the tables, or brings them to this program's version. One node
// does so at a time. Tables of a newer program are left as they are: with code
// [penstock.Unsupported] when they can no longer be written by this one.
func (s Schema) Migrate(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", s.lockKey()); err != nil {
		return err
	}
	version, oldest, err := s.version(ctx, tx)
	if err != nil {
		return err
	}
	if err := s.fits(version, oldest); err != nil {
		return err
	}
	for _, step := range s.steps {
		if step.number <= version {
			continue
		}
		if err := s.apply(ctx, tx, step); err != nil {
			return fmt.Errorf("making version %d of the tables in schema %s: %w", step.number, s.bare, err)
		}
		if version == 0 || step.oldest <= oldest {
			continue
		}
		// Whoever still writes finds the row of his node changed, asks anew, and learns
		// whether he may.
		if _, err := tx.Exec(ctx, s.SQL("UPDATE {s}.nodes SET changes = changes + 1")); err != nil {
			return err
		}
	}
	return nil
}

// Fits returns an error of code [penstock.Unsupported] when this program must not
// write the tables that are there. It changes nothing.
func (s Schema) Fits(ctx context.Context, tx pgx.Tx) error {
	version, oldest, _, err := s.noted(ctx, tx)
	if err != nil {
		return err
	}
	return s.fits(version, oldest)
}

func (s Schema) fits(version, oldest int) error {
	if oldest <= s.knows() {
		return nil
	}
	return penstock.Errorf(penstock.Unsupported,
		"the tables in schema %s have version %d, which programs before version %d must not write; this one knows %d: upgrade it",
		s.bare, version, oldest, s.knows())
}

// noted returns what the tables say of their version, where there are any.
func (s Schema) noted(ctx context.Context, tx pgx.Tx) (version, oldest int, there bool, err error) {
	err = tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", s.SQL("{s}.migrations")).Scan(&there)
	if err == nil && there {
		err = tx.QueryRow(ctx, s.SQL("SELECT coalesce(max(number), 0), coalesce(max(oldest), 0) FROM {s}.migrations")).Scan(&version, &oldest)
	}
	return version, oldest, there, err
}

// version returns the version of the tables, 0 when there were none.
func (s Schema) version(ctx context.Context, tx pgx.Tx) (version, oldest int, err error) {
	version, oldest, there, err := s.noted(ctx, tx)
	if err != nil || there {
		return version, oldest, err
	}
	if err := tx.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL", s.name).Scan(&there); err != nil {
		return 0, 0, err
	}
	if !there {
		if _, err := tx.Exec(ctx, s.SQL("CREATE SCHEMA {s}")); err != nil {
			return 0, 0, fmt.Errorf("making schema %s: %w", s.bare, err)
		}
	}
	_, err = tx.Exec(ctx, s.SQL(`CREATE TABLE {s}.migrations (
		number integer PRIMARY KEY, oldest integer NOT NULL, applied timestamptz NOT NULL DEFAULT now())`))
	return 0, 0, err
}

// apply runs one step. Its file has several statements, which only the simple
// protocol takes.
func (s Schema) apply(ctx context.Context, tx pgx.Tx, step migration) error {
	keeper, err := keeperOf(ctx, tx)
	if err != nil {
		return err
	}
	partitioned := "PARTITION BY RANGE (source_time)"
	if keeper == timescale {
		partitioned = ""
	}
	statements := strings.ReplaceAll(s.SQL(step.text), "{partitioned}", partitioned)
	if _, err := tx.Conn().PgConn().Exec(ctx, statements).ReadAll(); err != nil {
		return err
	}
	if step.number == 1 {
		if err := s.hand(ctx, tx, keeper); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, s.SQL("INSERT INTO {s}.migrations (number, oldest) VALUES ($1, $2)"), step.number, step.oldest)
	return err
}
