package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// Duration is a span of time that is not negative, written as "10s", "1h30m",
// "3d" or "2w". A day has 24 hours.
type Duration time.Duration

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// Std returns the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// ParseDuration reads what [time.ParseDuration] reads, and days (d) and weeks
// (w) too. It refuses negative durations.
func ParseDuration(text string) (time.Duration, error) {
	refusal := fmt.Errorf("%q is not a duration: write a number with a unit, as in 500ms, 10s, 5m, 2h or 3d", text)
	rest, total := strings.TrimSpace(text), time.Duration(0)
	for _, unit := range []struct {
		name string
		long time.Duration
	}{{"w", week}, {"d", day}} {
		number, after, found := strings.Cut(rest, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || time.Duration(n) > (math.MaxInt64-total)/unit.long {
			return 0, refusal
		}
		total, rest = total+time.Duration(n)*unit.long, after
		if rest == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64-total {
		return 0, refusal
	}
	return total + d, nil
}

// String returns the shortest usual form: "3d", "1h30m", "10s".
func (d Duration) String() string {
	rest := time.Duration(d)
	if rest == 0 {
		return "0s"
	}
	var b strings.Builder
	if days := rest / day; days > 0 {
		fmt.Fprintf(&b, "%dd", days)
		rest %= day
	}
	if rest != 0 {
		text := rest.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		b.WriteString(text)
	}
	return b.String()
}

// MarshalText returns what String returns; UnmarshalText reads it back.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// JSONSchema describes the type to editors.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:     "string",
		Pattern:  `^([0-9]+w)?([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*$|^0$`,
		Examples: []any{"10s", "3d"},
	}
}
