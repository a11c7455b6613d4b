package sheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/place"
	"github.com/penstock/penstock/internal/fleet/point"
	"github.com/penstock/penstock/internal/suggest"
)

// Row is a row of a sheet, with the line on which it begins.
type Row struct {
	Line int
	fleet.Entry
}

// Problem is what is wrong with a row.
type Problem struct {
	Line   int
	Column string // empty when it is of no one column
	Text   string // what is wrong and what to do
}

// MaxRows is how many rows a sheet may have.
const MaxRows = 250_000

// byteOrderMark stands before UTF-8 that a spreadsheet wrote.
const byteOrderMark = "\ufeff"

// Read reads the rows of a sheet, and what is wrong with those that cannot be
// read. The columns may stand in any order and be separated by a comma, a
// semicolon or a tab, as the header is; numbers may have a decimal comma where the
// comma separates nothing. A column that is not there is empty.
func Read(data []byte) ([]Row, []Problem) {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	if line, ok := firstNotUTF8(data); ok {
		return nil, []Problem{{Line: line, Text: "the file is not UTF-8: save it as CSV in UTF-8"}}
	}
	r := reader{csv: csv.NewReader(bytes.NewReader(data))}
	r.csv.Comma = separator(data)
	r.csv.FieldsPerRecord = -1 // checked here, to say where
	if !r.header() {
		return nil, r.problems
	}
	for r.next() {
	}
	return r.rows, r.problems
}

func firstNotUTF8(data []byte) (line int, found bool) {
	if utf8.Valid(data) {
		return 0, false
	}
	for text := range bytes.Lines(data) {
		line++
		if !utf8.Valid(text) {
			break
		}
	}
	return line, true
}

// separator returns what separates the columns of the first line that is not
// empty.
func separator(data []byte) rune {
	first, _, _ := bytes.Cut(bytes.TrimLeft(data, "\r\n"), []byte("\n"))
	best, most := ',', bytes.Count(first, []byte(","))
	for _, c := range []rune{';', '\t'} {
		if n := bytes.Count(first, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

type reader struct {
	csv      *csv.Reader
	names    []string // of the columns, as they stand
	rows     []Row
	problems []Problem
}

func (r *reader) problem(line int, column, format string, args ...any) {
	r.problems = append(r.problems, Problem{line, column, fmt.Sprintf(format, args...)})
}

// record returns the next row as it stands, false at the end or where the file
// cannot be read any further.
func (r *reader) record() (cells []string, line int, ok bool) {
	cells, err := r.csv.Read()
	var bad *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, 0, false
	case errors.As(err, &bad):
		r.problem(bad.StartLine, "", "the row cannot be read: %v", bad.Err)
		return nil, 0, false
	case err != nil:
		r.problem(0, "", "the file cannot be read: %v", err)
		return nil, 0, false
	}
	line, _ = r.csv.FieldPos(0)
	return cells, line, true
}

// header reads the names of the columns, and tells whether the rows can be read.
func (r *reader) header() bool {
	cells, line, ok := r.record()
	if !ok {
		if len(r.problems) == 0 {
			r.problem(1, "", "the file is empty: its first line names the columns: %s", strings.Join(columns(), ","))
		}
		return false
	}
	known := columns()
	for _, cell := range cells {
		name := strings.TrimSpace(cell)
		switch {
		case name == "":
		case slices.Contains(r.names, name):
			r.problem(line, name, "the column stands there twice")
		case slices.Contains(known, name):
		default:
			r.problem(line, "", "there is no column %.40q: %s", name, meant(name, known))
		}
		r.names = append(r.names, name)
	}
	if len(r.problems) == 0 && !slices.Contains(r.names, point.ColumnController) {
		r.problem(line, "", "there is no column controller: the first line names the columns")
	}
	return len(r.problems) == 0
}

func meant(name string, known []string) string {
	if near := suggest.Nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "the columns are " + strings.Join(known, ", ")
}

// next reads one row, and tells whether there may be more.
func (r *reader) next() bool {
	cells, line, ok := r.record()
	if !ok {
		return false
	}
	if !slices.ContainsFunc(cells, func(cell string) bool { return cell != "" }) {
		return true // a spreadsheet leaves such rows where something was deleted
	}
	if len(r.rows) >= MaxRows {
		r.problem(line, "", "the file has more than %d rows: import it in parts", MaxRows)
		return false
	}
	row := Row{Line: line}
	sound := true
	for i, cell := range cells {
		if cell == "" {
			continue
		}
		if i >= len(r.names) || r.names[i] == "" {
			r.problem(line, "", "cell %d, %.40q, stands below no column", i+1, cell)
			sound = false
			continue
		}
		if err := r.set(&row, r.names[i], cell); err != nil {
			r.problem(line, r.names[i], "%v", err)
			sound = false
		}
	}
	if sound {
		r.rows = append(r.rows, row)
	}
	return true
}

// set takes a cell into the row.
func (r *reader) set(row *Row, column, cell string) (err error) {
	switch column {
	case point.ColumnController:
		row.Controller = unguard(cell)
	case point.ColumnState:
		row.State = fleet.State(cell)
	case point.ColumnPoint:
		row.Point = unguard(cell)
	case point.ColumnType:
		row.Type = cell
	case point.ColumnUnit:
		row.Unit = unguard(cell)
	case point.ColumnMin:
		row.Min, err = r.limit(cell)
	case point.ColumnMax:
		row.Max, err = r.limit(cell)
	case point.ColumnSignal:
		row.Signal = cell
	case place.ColumnSite:
		row.Site = unguard(cell)
	case place.ColumnLine:
		row.Place.Line = unguard(cell)
	}
	return err
}

func (r *reader) limit(cell string) (*float64, error) {
	text := cell
	if r.csv.Comma != ',' && !strings.Contains(text, ".") {
		text = strings.Replace(text, ",", ".", 1)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return nil, fmt.Errorf("%.40q is not a number", cell)
	}
	return &v, nil
}
