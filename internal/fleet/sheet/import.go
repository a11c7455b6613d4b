package sheet

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/point"
)

// Options say how a sheet is imported.
type Options struct {
	// Covers returns an error when whoever imports has no right to the controller.
	Covers func(controller string) error
	Dry    bool // find what is wrong and what would change, and change nothing
}

// Result is what became of a sheet. With a problem nothing was imported.
type Result struct {
	fleet.Imported
	Rows     int
	Problems []Problem // in the order of the lines, at most MaxProblems
	More     int       // problems that are not listed
}

// MaxProblems is how many problems are told of one sheet.
const MaxProblems = 100

// Import reads a sheet and imports it into the fleet, all or, when there is a
// problem with one of its rows, nothing.
func Import(f *fleet.Fleet, data []byte, o Options) (Result, error) {
	rows, problems := Read(data)
	r := Result{Rows: len(rows)}
	entries := make([]fleet.Entry, len(rows))
	for i := range rows {
		entries[i] = rows[i].Entry
		if err := o.Covers(entries[i].Controller); err != nil && entries[i].Controller != "" {
			problems = append(problems, Problem{rows[i].Line, point.ColumnController, err.Error()})
		}
	}
	done, flaws, err := f.Import(entries, o.Dry || len(problems) > 0)
	if err != nil {
		return r, err
	}
	for _, flaw := range flaws {
		p := Problem{rows[flaw.Entry].Line, flaw.Column, flaw.Text}
		if flaw.Beside >= 0 {
			p.Text = fmt.Sprintf("%s: see line %d", p.Text, rows[flaw.Beside].Line)
		}
		problems = append(problems, p)
	}
	if len(problems) == 0 {
		r.Imported = done
		return r, nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	r.More = max(0, len(problems)-MaxProblems)
	r.Problems = problems[:len(problems)-r.More]
	return r, nil
}
