package render

import (
	"strconv"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
)

// Format is a media type of answers with samples.
type Format uint8

// The formats.
const (
	JSON   Format = iota // one object: {"series":[…]}
	NDJSON               // an object a sample and line
	CSV                  // RFC 4180, with a line of names first
)

// MediaType returns the format's media type as it stands in Content-Type.
func (f Format) MediaType() string {
	switch f {
	case NDJSON:
		return "application/x-ndjson"
	case CSV:
		return "text/csv; charset=utf-8; header=present"
	}
	return "application/json"
}

// Series are the names under which samples are written.
type Series struct {
	Controller string
	Point      string
	Unit       string
}

// Table writes series of samples one after the other in one format. Its methods
// append to dst; the calls are Begin, then for each series BeginSeries, Sample
// as often as needed and EndSeries, then End.
type Table struct {
	Format Format
	Time   reportjson.TimeFormat

	names   []byte // the names of the series, ready for a line
	series  int
	samples int
}

// Begin appends what stands before the first series.
func (t *Table) Begin(dst []byte) []byte {
	switch t.Format {
	case JSON:
		return append(dst, `{"series":[`...)
	case CSV:
		return append(dst, "controller,point,unit,time,value,status\r\n"...)
	}
	return dst
}

// BeginSeries appends what stands before the samples of s.
func (t *Table) BeginSeries(dst []byte, s Series) []byte {
	t.samples = 0
	switch t.Format {
	case JSON:
		if t.series > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = appendNames(dst, s)
		dst = append(dst, `,"samples":[`...)
	case NDJSON:
		t.names = append(appendNames(append(t.names[:0], '{'), s), `,"time":`...)
	case CSV:
		t.names = t.names[:0]
		for _, name := range []string{s.Controller, s.Point, s.Unit} {
			t.names = append(appendField(t.names, name), ',')
		}
	}
	t.series++
	return dst
}

func appendNames(dst []byte, s Series) []byte {
	dst = append(dst, `"controller":`...)
	dst = reportjson.AppendString(dst, s.Controller)
	dst = append(dst, `,"point":`...)
	dst = reportjson.AppendString(dst, s.Point)
	dst = append(dst, `,"unit":`...)
	return reportjson.AppendString(dst, s.Unit)
}

// Sample appends one sample.
func (t *Table) Sample(dst []byte, ns int64, v penstock.Value, s penstock.Status) []byte {
	switch t.Format {
	case JSON:
		if t.samples > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		dst = reportjson.AppendTime(dst, ns, t.Time)
		dst = append(dst, ',')
		dst = reportjson.AppendValue(dst, v)
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, uint64(s), 10)
		dst = append(dst, ']')
	case NDJSON:
		dst = append(dst, t.names...)
		dst = reportjson.AppendTime(dst, ns, t.Time)
		dst = append(dst, `,"value":`...)
		dst = reportjson.AppendValue(dst, v)
		dst = append(dst, `,"status":`...)
		dst = strconv.AppendUint(dst, uint64(s), 10)
		dst = append(dst, "}\n"...)
	case CSV:
		dst = append(dst, t.names...)
		dst = appendPlainTime(dst, ns, t.Time)
		dst = append(dst, ',')
		if v.Kind() == penstock.Text {
			dst = appendField(dst, v.Text())
		} else {
			dst = AppendPlain(dst, v)
		}
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, uint64(s), 10)
		dst = append(dst, "\r\n"...)
	}
	t.samples++
	return dst
}

// EndSeries appends what stands after the samples of a series.
func (t *Table) EndSeries(dst []byte) []byte {
	if t.Format == JSON {
		return append(dst, "]}"...)
	}
	return dst
}

// End appends what stands after the last series. A next that is not empty says
// where the answer was cut; CSV has no place for it.
func (t *Table) End(dst []byte, next string) []byte {
	switch t.Format {
	case JSON:
		dst = append(dst, ']')
		if next != "" {
			dst = append(dst, `,"next":`...)
			dst = reportjson.AppendString(dst, next)
		}
		return append(dst, "}\n"...)
	case NDJSON:
		if next != "" {
			dst = append(dst, `{"next":`...)
			dst = reportjson.AppendString(dst, next)
			dst = append(dst, "}\n"...)
		}
	}
	return dst
}

// appendField appends a field of CSV. A text that a spreadsheet would take for a
// formula is quoted like any other: it is data, and stays what it is.
func appendField(dst []byte, s string) []byte {
	if !strings.ContainsAny(s, "\",\r\n") {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(s, `"`, `""`)...)
	return append(dst, '"')
}
