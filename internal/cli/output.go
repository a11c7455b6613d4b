package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
)

// rowWriter writes samples in one format.
type rowWriter interface {
	row(apiclient.Row) error
	end() error // writes what is left
}

// formats are the values of -o.
const formats = "table, json, ndjson or csv"

func newRowWriter(w io.Writer, format string) (rowWriter, error) {
	switch format {
	case "table":
		return &tableRows{w: newTable(w)}, nil
	case "json":
		return &jsonRows{w: w}, nil
	case "ndjson":
		return ndjsonRows{json.NewEncoder(w)}, nil
	case "csv":
		return &csvRows{w: csv.NewWriter(w)}, nil
	}
	return nil, usagef("%q is no format: -o takes %s", format, formats)
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// tableRows aligns columns over a stretch of rows, so that memory stays bounded.
type tableRows struct {
	w     *tabwriter.Writer
	count int
}

func (t *tableRows) row(r apiclient.Row) error {
	const stretch = 500
	if t.count == 0 {
		fmt.Fprintln(t.w, "CONTROLLER\tPOINT\tTIME\tVALUE\tUNIT\tSTATUS") // errors come up at Flush
	}
	t.count++
	_, err := fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\t%s\t%s\n",
		clean(r.Controller), clean(r.Point), plainText(r.Time), clean(shownValue(r.Value)), clean(r.Unit), r.Status)
	if err == nil && t.count%stretch == 0 {
		err = t.w.Flush()
	}
	return err
}

func (t *tableRows) end() error { return t.w.Flush() }

// jsonRows writes the object that the API answers, a sample a line.
type jsonRows struct {
	w                 io.Writer
	controller, point string
	count             int
}

func (j *jsonRows) row(r apiclient.Row) error {
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

func (j *jsonRows) end() error {
	text := "]}]}\n"
	if j.count == 0 {
		text = `{"series":[]}` + "\n"
	}
	_, err := io.WriteString(j.w, text)
	return err
}

// ndjsonRows writes an object a line.
type ndjsonRows struct{ w *json.Encoder }

func (n ndjsonRows) row(r apiclient.Row) error {
	n.w.SetEscapeHTML(false)
	return n.w.Encode(r)
}

func (ndjsonRows) end() error { return nil }

// csvRows writes RFC 4180 with a line of names.
type csvRows struct {
	w     *csv.Writer
	count int
}

func (c *csvRows) row(r apiclient.Row) error {
	if err := c.names(); err != nil {
		return err
	}
	return c.w.Write([]string{r.Controller, r.Point, r.Unit, plainText(r.Time), plainText(r.Value), fmt.Sprint(uint32(r.Status))})
}

func (c *csvRows) names() error {
	c.count++
	if c.count > 1 {
		return nil
	}
	return c.w.Write([]string{"controller", "point", "unit", "time", "value", "status"})
}

func (c *csvRows) end() error {
	if err := c.names(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// plainText returns a JSON scalar without quotes; null is empty.
func plainText(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// shownValue shows none as such: an empty place would look like a fault.
func shownValue(raw json.RawMessage) string {
	if string(raw) == "null" {
		return penstock.None.String()
	}
	return plainText(raw)
}

// clean makes a text of others safe to show on a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '\ufffd'
		}
		return r
	}, s)
}
