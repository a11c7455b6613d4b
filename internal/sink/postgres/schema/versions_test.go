package schema

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// The programs of a rolling upgrade: one of today, the next, which adds, and the one
// after that, which takes away what today's needs.
func programs() (today, next, later Schema) {
	today = New("plant")
	adds := migration{number: today.knows() + 1, oldest: steps[len(steps)-1].oldest, text: `
		ALTER TABLE {s}.samples ADD COLUMN region text;
		ALTER TABLE {s}.nodes ADD COLUMN region text NOT NULL DEFAULT 'north';
		CREATE TABLE {s}.regions (name text PRIMARY KEY);
		CREATE INDEX samples_by_region ON {s}.samples (region);`}
	takes := migration{number: adds.number + 1, oldest: adds.number, text: `ALTER TABLE {s}.nodes DROP COLUMN holder;`}
	next, later = today, today
	next.steps = append(append([]migration{}, today.steps...), adds)
	later.steps = append(append([]migration{}, next.steps...), takes)
	return today, next, later
}

// TestProgramsOfSeveralVersions has them meet one database in the order of a rolling
// upgrade, and in others.
func TestProgramsOfSeveralVersions(t *testing.T) {
	s, err := pgtest.Start(pgtest.Memory())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	today, next, later := programs()
	for _, c := range []struct {
		order    []Schema
		refused  bool // the last of them is
		changes  int  // of the row of a node that runs since the first
		migrated int  // steps, today counted as one
	}{
		{order: []Schema{today, today}, migrated: 1},
		{order: []Schema{today, next}, migrated: 2},
		{order: []Schema{today, next, today}, migrated: 2},
		{order: []Schema{next, today, next}, migrated: 2},
		{order: []Schema{today, next, later}, changes: 1, migrated: 3},
		{order: []Schema{today, next, later, next}, changes: 1, migrated: 3},
		{order: []Schema{today, next, later, today}, changes: 1, migrated: 3, refused: true},
		{order: []Schema{today, later, today}, changes: 1, migrated: 3, refused: true},
	} {
		conn := s.Connect(t, s.Database(t))
		do := func(what func(context.Context, pgx.Tx) error) error {
			return pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error { return what(t.Context(), tx) })
		}
		for i, program := range c.order {
			fits, made := do(program.Fits), do(program.Migrate)
			if c.refused && i == len(c.order)-1 {
				for _, err := range []error{fits, made} {
					if penstock.CodeOf(err) != penstock.Unsupported || !strings.Contains(err.Error(), fmt.Sprintf("this one knows %d: upgrade it", today.knows())) {
						t.Errorf("program %d of %d: %v", i, len(c.order), err)
					}
				}
			} else if fits != nil || made != nil {
				t.Errorf("program %d of %d: %v, %v", i, len(c.order), fits, made)
			}
			if i == 0 {
				if _, err := conn.Exec(t.Context(), program.SQL("INSERT INTO {s}.nodes (id, name) VALUES ('a', 'a')")); err != nil {
					t.Fatal(err)
				}
			}
		}
		var changes, migrated int
		err := conn.QueryRow(t.Context(), today.SQL("SELECT changes, (SELECT count(*) FROM {s}.migrations) FROM {s}.nodes")).Scan(&changes, &migrated)
		if err != nil || changes != c.changes || migrated != c.migrated+today.knows()-1 {
			t.Errorf("%d programs: the row of the node has changed %d times, and there are %d steps: %v", len(c.order), changes, migrated, err)
		}
	}
}

// takesAway finds statements that an older program may not survive.
func takesAway(text string) string {
	return regexp.MustCompile(`(?i)\b(DROP|RENAME|TRUNCATE|DELETE|SET\s+NOT\s+NULL|SET\s+DATA|ALTER\s+(COLUMN\s+)?\w+\s+TYPE|CHECK\s*\(|UNIQUE|FOREIGN\s+KEY|REFERENCES|(ADD\s+COLUMN|ADD)\s+\w+\s+[^,;]*NOT\s+NULL(?:\s*[,;]|\s*$))`).FindString(text)
}

// TestStepsOnlyAdd holds the steps against the rule: what takes something away says
// which programs that ends.
func TestStepsOnlyAdd(t *testing.T) {
	for i, step := range steps {
		if i > 0 && step.oldest == steps[i-1].oldest {
			if found := takesAway(step.text); found != "" {
				t.Errorf("step %d has %q, which programs of version %d may not survive: raise oldest, or only add", step.number, found, step.oldest)
			}
		}
		if i > 0 && (step.number != steps[i-1].number+1 || step.oldest < steps[i-1].oldest || step.oldest >= step.number) {
			t.Errorf("step %d for programs from %d on: steps are numbered one by one, and the program of the version before goes on", step.number, step.oldest)
		}
	}
	_, next, later := programs()
	for text, wrong := range map[string]bool{
		next.steps[len(steps)].text:                                 false,
		later.steps[len(steps)+1].text:                              true,
		"ALTER TABLE {s}.samples ALTER COLUMN kind TYPE integer;":   true,
		"ALTER TABLE {s}.points RENAME COLUMN unit TO ucum;":        true,
		"ALTER TABLE {s}.points ADD COLUMN site text NOT NULL;":     true,
		"ALTER TABLE {s}.points ALTER COLUMN unit SET NOT NULL;":    true,
		"CREATE UNIQUE INDEX one ON {s}.points (unit);":             true,
		"ALTER TABLE {s}.points ADD CONSTRAINT sane CHECK (id > 0)": true,
		"ALTER TABLE {s}.points ADD site text DEFAULT '';":          false,
		"CREATE VIEW {s}.sites AS SELECT name FROM {s}.points;":     false,
	} {
		if found := takesAway(text); (found != "") != wrong {
			t.Errorf("%q: found %q", text, found)
		}
	}
}
