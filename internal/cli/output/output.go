// Package output writes what commands answer: samples as a table, JSON, NDJSON or
// CSV, and texts of others so that a terminal shows and does not obey them.
package output

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
)

// Samples writes samples in one format.
type Samples interface {
	Row(apiclient.Row) error
	End() error // writes what is left
}

// Formats are the formats of [NewSamples], for people.
const Formats = "table, json, ndjson or csv"

// NewSamples returns a writer of samples in the format; code Invalid when there
// is no such format.
func NewSamples(w io.Writer, format string) (Samples, error) {
	switch format {
	case "table":
		return &tableRows{w: w}, nil
	case "json":
		return &jsonRows{w: w}, nil
	case "ndjson":
		return ndjsonRows{json.NewEncoder(w)}, nil
	case "csv":
		return &csvRows{w: csv.NewWriter(w)}, nil
	}
	return nil, penstock.Errorf(penstock.Invalid, "%q is no format: -o takes %s", format, Formats)
}

// Table aligns columns over a stretch of rows, so that its memory stays bounded.
type Table struct {
	w     *tabwriter.Writer
	count int
}

// NewTable returns a table with a line of names.
func NewTable(w io.Writer, names ...string) *Table {
	t := &Table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.line(names)
	return t
}

// Row adds a row; its cells are made safe to show.
func (t *Table) Row(cells ...any) error {
	const stretch = 500
	shown := make([]string, len(cells))
	for i, cell := range cells {
		shown[i] = Clean(fmt.Sprint(cell))
	}
	t.line(shown)
	if t.count++; t.count%stretch == 0 {
		return t.w.Flush()
	}
	return nil
}

// line hands a line to the writer, whose errors come up when it is flushed.
func (t *Table) line(cells []string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

// End writes what is left.
func (t *Table) End() error { return t.w.Flush() }

// tableRows writes a line of names with the first sample.
type tableRows struct {
	w     io.Writer
	table *Table
}

// Row writes a sample; none is shown as such, as an empty place would look like a
// fault.
func (t *tableRows) Row(r apiclient.Row) error {
	if t.table == nil {
		t.table = NewTable(t.w, "CONTROLLER", "POINT", "TIME", "VALUE", "UNIT", "STATUS")
	}
	return t.table.Row(r.Controller, r.Point, Plain(r.Time), Value(r.Value), r.Unit, r.Status)
}

// End writes what is left.
func (t *tableRows) End() error {
	if t.table == nil {
		return nil
	}
	return t.table.End()
}

// jsonRows writes the object that the API answers, a sample a line.
type jsonRows struct {
	w                 io.Writer
	controller, point string
	count             int
}

// Row writes a sample, and the names of its series before the first.
func (j *jsonRows) Row(r apiclient.Row) error {
	before := `{"series":[`
	if j.count > 0 {
		before = ","
	}
	if j.count == 0 || r.Controller != j.controller || r.Point != j.point {
		if j.count > 0 {
			before = "]},"
		}
		names, err := json.Marshal(struct {
			Controller string `json:"controller"`
			Point      string `json:"point"`
			Unit       string `json:"unit"`
		}{r.Controller, r.Point, r.Unit})
		if err != nil {
			return err
		}
		before += "\n" + strings.TrimSuffix(string(names), "}") + `,"samples":[`
		j.controller, j.point = r.Controller, r.Point
	}
	j.count++
	_, err := fmt.Fprintf(j.w, "%s\n[%s,%s,%d]", before, r.Time, r.Value, r.Status)
	return err
}

// End closes what is open.
func (j *jsonRows) End() error {
	text := "]}]}\n"
	if j.count == 0 {
		text = `{"series":[]}` + "\n"
	}
	_, err := io.WriteString(j.w, text)
	return err
}

// ndjsonRows writes an object a line.
type ndjsonRows struct{ w *json.Encoder }

// Row writes a line.
func (n ndjsonRows) Row(r apiclient.Row) error {
	n.w.SetEscapeHTML(false)
	return n.w.Encode(r)
}

// End has nothing left to write.
func (ndjsonRows) End() error { return nil }

// csvRows writes RFC 4180 with a line of names.
type csvRows struct {
	w     *csv.Writer
	count int
}

// Row writes a line.
func (c *csvRows) Row(r apiclient.Row) error {
	if err := c.names(); err != nil {
		return err
	}
	return c.w.Write([]string{r.Controller, r.Point, r.Unit, Plain(r.Time), Plain(r.Value), fmt.Sprint(uint32(r.Status))})
}

func (c *csvRows) names() error {
	c.count++
	if c.count > 1 {
		return nil
	}
	return c.w.Write([]string{"controller", "point", "unit", "time", "value", "status"})
}

// End writes what is left, the names at least.
func (c *csvRows) End() error {
	if err := c.names(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// Plain returns a JSON scalar without quotes; null is empty.
func Plain(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// Value returns a value for people: none as such.
func Value(raw json.RawMessage) string {
	if string(raw) == "null" {
		return penstock.None.String()
	}
	return Plain(raw)
}

// Clean makes a text of others safe to show on a terminal.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '\ufffd'
		}
		return r
	}, s)
}

// JSON writes v with indentation.
func JSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("the answer cannot be written as JSON: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// Count returns a number and its noun: "1 report", "2 reports".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// Bytes shows a number of bytes to a person.
func Bytes(n int64) string {
	const unit = 1024
	value, names := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; value >= unit && i < len(names)-1; i++ {
		value /= unit
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, names[i])
}
