package query

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
)

func invalid(t *testing.T, err error) {
	t.Helper()
	if penstock.CodeOf(err) != penstock.Invalid {
		t.Fatalf("%v has the code %v", err, penstock.CodeOf(err))
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"now", "-1h", "+7d", "0", "-9223372036854775808", "2026-11-22T06:00:00.123456789+01:00", "2026-11-22T06:00:00 01:00", "9999-12-31T00:00:00Z", "-1e300w"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parseTime("from", s, now); err != nil {
			invalid(t, err)
		}
		if d, err := parseDuration(s); err != nil {
			invalid(t, err)
		} else if d <= 0 {
			t.Fatalf("%q is %v", s, d)
		}
		if n, err := parseLimit(s); err != nil {
			invalid(t, err)
		} else if n < 0 {
			t.Fatalf("%q is %d", s, n)
		}
		if _, err := parseTimeFormat(s); err != nil {
			invalid(t, err)
		}
	})
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 0, 0, 5, time.UTC)
	for s, want := range map[string]int64{
		"now": now.UnixNano(), "-1h": now.Add(-time.Hour).UnixNano(), "+90s": now.Add(90 * time.Second).UnixNano(),
		"-1.5d": now.Add(-36 * time.Hour).UnixNano(), "-2w": now.Add(-14 * 24 * time.Hour).UnixNano(),
		"12": 12, "-12": -12, "-9223372036854775808": math.MinInt64,
		"2026-11-22T06:00:00.000000005Z": now.UnixNano(), "2026-11-22T07:00:00 01:00": now.UnixNano() - 5,
		"-15250w": addTime(now.UnixNano(), -15250*7*24*int64(time.Hour)),
	} {
		if got, err := parseTime("from", s, now); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", s, got, err, want)
		}
	}
	if addTime(math.MaxInt64-1, 5) != math.MaxInt64 || addTime(math.MinInt64+1, -5) != math.MinInt64 {
		t.Error("times run over")
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add((&cursor{from: math.MinInt64, to: math.MaxInt64, controller: "pump-17", point: "a/b", time: 5, skip: 2}).String())
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := parseCursor(s)
		if err != nil {
			invalid(t, err)
			return
		}
		again, err := parseCursor(k.String())
		if err != nil || *again != *k {
			t.Fatalf("%q: %+v, %+v, %v", s, k, again, err)
		}
	})
}

func TestCursorsSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.Int64().Draw(t, "from")
		k := cursor{from: from, to: rapid.Int64().Draw(t, "to"), time: rapid.Int64Min(from).Draw(t, "time"), skip: rapid.Uint64().Draw(t, "skip"),
			controller: rapid.StringMatching(`[a-zé ]{1,20}`).Draw(t, "controller"), point: rapid.StringMatching(`[a-z/]{1,20}`).Draw(t, "point")}
		if got, err := parseCursor(k.String()); err != nil || *got != k {
			t.Fatalf("%+v became %+v, %v", k, got, err)
		}
	})
}

func FuzzNegotiate(f *testing.F) {
	f.Add("text/csv;q=0.9, application/json;q=0.1")
	f.Add("*/*;q=0")
	f.Add(";;,,q=")
	f.Fuzz(func(t *testing.T, accept string) {
		if format, err := negotiate([]string{accept}); err == nil && format.MediaType() == "" {
			t.Fatalf("%q gives no media type", accept)
		}
	})
}
