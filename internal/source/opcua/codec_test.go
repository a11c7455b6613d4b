package opcua_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/link"
)

// A sequence number is never 0: after the largest comes 1 (OPC 10000-4, 7.25).
func TestSequenceNumbersRollOver(t *testing.T) {
	for _, c := range []struct {
		seq, expected uint32
		ahead         bool
	}{
		{1, 1, false}, {2, 1, true}, {1, 2, false}, {math.MaxUint32, math.MaxUint32, false}, {1, math.MaxUint32, true}, {math.MaxUint32, 1, false},
	} {
		if got := opcua.Ahead(c.seq, c.expected); got != c.ahead {
			t.Errorf("%d is ahead of %d: %v", c.seq, c.expected, got)
		}
	}
	if opcua.Follows(math.MaxUint32) != 1 || opcua.Follows(1) != 2 {
		t.Error("the number after the largest is not 1")
	}
}

func TestValues(t *testing.T) {
	noon := time.Date(2026, 6, 1, 12, 0, 0, 1500, time.UTC)
	for _, c := range []struct {
		raw     any
		element bool
		want    penstock.Value
		why     string // of a value that no point can hold
	}{
		{true, false, penstock.BoolValue(true), ""},
		{int8(-3), false, penstock.IntValue(-3), ""},
		{int16(-300), false, penstock.IntValue(-300), ""},
		{int32(math.MinInt32), false, penstock.IntValue(math.MinInt32), ""},
		{int64(math.MinInt64), false, penstock.IntValue(math.MinInt64), ""},
		{byte(200), false, penstock.UintValue(200), ""},
		{uint16(65535), false, penstock.UintValue(65535), ""},
		{uint32(math.MaxUint32), false, penstock.UintValue(math.MaxUint32), ""},
		{uint64(math.MaxUint64), false, penstock.UintValue(math.MaxUint64), ""},
		{float32(0.1), false, penstock.FloatValue(float64(float32(0.1))), ""},
		{math.Copysign(0, -1), false, penstock.FloatValue(math.Copysign(0, -1)), ""},
		{"Grüße", false, penstock.TextValue("Grüße"), ""},
		{ua.NewLocalizedText("open"), false, penstock.TextValue("open"), ""},
		{noon, false, penstock.TextValue("2026-06-01T12:00:00.0000015Z"), ""},
		{ua.StatusBadTimeout, false, penstock.UintValue(0x800A0000), ""},
		{[]uint16{7}, true, penstock.UintValue(7), ""},
		{[]string{"a"}, true, penstock.TextValue("a"), ""},
		{[]uint16{7, 8}, false, penstock.Value{}, "array of 2"},
		{[]uint16{7, 8}, true, penstock.Value{}, "2 elements for one"},
		{1.5, true, penstock.Value{}, "no array"},
		{"\xff", false, penstock.Value{}, "UTF-8"},
		{strings.Repeat("x", penstock.MaxText+1), false, penstock.Value{}, "bytes"},
		{ua.NewExtensionObject(&ua.EUInformation{}), false, penstock.Value{}, "ExtensionObject"},
		{[]byte{1, 2}, false, penstock.Value{}, "no point can hold"},
	} {
		got, why := opcua.ValueOf(ua.MustVariant(c.raw), c.element)
		if got != c.want || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%T %v: %v, %q", c.raw, c.raw, got, why)
		}
	}
}

// Whatever a server puts into a value, the sample is one that a report can carry.
func FuzzSample(f *testing.F) {
	for _, v := range []any{1.5, "text", []uint16{1, 2}, ua.NewLocalizedText("x"), time.Unix(1, 0)} {
		d := &ua.DataValue{EncodingMask: ua.DataValueValue | ua.DataValueStatusCode, Value: ua.MustVariant(v)}
		raw, err := d.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, true)
		f.Add(raw, false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, element bool) {
		d := new(ua.DataValue)
		if !decoded(d, raw) {
			return
		}
		s, why := opcua.SampleOf(element, d, time.Unix(1, 0))
		if s.Status.IsBad() != (s.Value.Kind() == penstock.None) {
			t.Errorf("%v with %v", s.Status, s.Value)
		}
		if why != "" && s.Status != penstock.BadDecodingError {
			t.Errorf("%v, though %s", s.Status, why)
		}
		r := penstock.Report{Controller: "c", Samples: []penstock.Sample{s}}
		var back penstock.Report
		if _, err := new(link.Decoder).Decode(link.AppendReport(nil, &r), &back); err != nil {
			t.Errorf("%+v cannot be carried: %v", s, err)
		}
	})
}

// decoded decodes as the library does, which panics at some lengths.
func decoded(d *ua.DataValue, raw []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	_, err := d.Decode(raw)
	return err == nil
}
