package pipeline

import (
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock"
)

const day = 24 * time.Hour

// Span is a length of time in the settings: "90s", "1h30m", or whole days as "7d".
type Span time.Duration

// UnmarshalText reads a span.
func (s *Span) UnmarshalText(text []byte) error {
	if number, found := strings.CutSuffix(string(text), "d"); found {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			*s = Span(n) * Span(day)
			return nil
		}
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "%.40q is no length of time: write a number with a unit, as in 500ms, 10s, 5m, 2h or 3d", text)
	}
	*s = Span(d)
	return nil
}

// MarshalText writes the span as UnmarshalText reads it.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns whole days as "7d" and everything else as "1h30m0s".
func (s Span) String() string {
	if d := time.Duration(s); d == 0 || d%day != 0 {
		return d.String()
	}
	return strconv.FormatInt(int64(s)/int64(day), 10) + "d"
}
