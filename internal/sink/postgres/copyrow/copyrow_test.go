package copyrow_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres/copyrow"
)

func TestMicrosKeepEveryNanosecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nanos := rapid.Int64().Draw(t, "nanos")
		micros, rest := copyrow.Micros(nanos)
		if rest < 0 || rest > 999 || micros*1000+int64(rest) != nanos {
			t.Fatalf("%d is %d µs and %d ns", nanos, micros, rest)
		}
		if got := copyrow.Time(nanos); got.UnixMicro() != micros || got.After(time.Unix(0, nanos)) {
			t.Fatalf("%d is the time %v", nanos, got)
		}
	})
}

// TestReader reads rows in one piece and byte by byte, long texts among them, and
// finds each row's parts where COPY wants them.
func TestReader(t *testing.T) {
	r := &penstock.Report{Controller: "c", Identity: penstock.SequenceIdentity(3, 4), Samples: []penstock.Sample{
		{Value: penstock.FloatValue(1.5)}, {Value: penstock.UintValue(7), SourceTime: 1001}, {},
		{Value: penstock.TextValue(strings.Repeat("x", penstock.MaxText))}, {Value: penstock.TextValue("")},
	}}
	var rows []copyrow.Row
	for range 200 {
		for i := range r.Samples {
			rows = append(rows, copyrow.Row{Report: r, Sample: &r.Samples[i], Point: 9})
		}
	}
	whole, err := io.ReadAll(copyrow.NewReader(rows, 0))
	if err != nil {
		t.Fatal(err)
	}
	bit, err := io.ReadAll(iotest.HalfReader(copyrow.NewReader(rows, 0)))
	if err != nil || !bytes.Equal(whole, bit) {
		t.Fatalf("read in small pieces it is another: %v", err)
	}
	rest, ok := bytes.CutPrefix(whole, []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	if !ok {
		t.Fatalf("it begins with %q", whole[:20])
	}
	columns := strings.Count(copyrow.Columns, ",") + 1
	for n := range rows {
		rest = cut(t, rest, n, columns)
	}
	if !bytes.Equal(rest, []byte{0xff, 0xff}) {
		t.Fatalf("it ends with %x", rest)
	}
}

// cut takes one row off and returns what follows it.
func cut(t *testing.T, b []byte, n, columns int) []byte {
	t.Helper()
	if got := int(b[0])<<8 | int(b[1]); got != columns {
		t.Fatalf("row %d has %d columns, %d have names", n, got, columns)
	}
	b = b[2:]
	for range columns {
		length := int32(b[0])<<24 | int32(b[1])<<16 | int32(b[2])<<8 | int32(b[3])
		b = b[4+max(length, 0):]
	}
	return b
}
