package query

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/render"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/reportjson"
)

// parseTime reads a time: RFC 3339, nanoseconds since 1970, "now", or a duration
// before or after now with its sign ("-1h").
func parseTime(name, s string, now time.Time) (int64, error) {
	if s == "now" {
		return now.UnixNano(), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		if d, err := parseDuration(s[1:]); err == nil {
			if s[0] == '-' {
				d = -d
			}
			return addTime(now.UnixNano(), int64(d)), nil
		}
	}
	// A '+' that was not escaped comes as a space.
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "+", 1))
	if err != nil {
		return 0, penstock.Errorf(penstock.Invalid, "%s=%.60q is not a time: it is RFC 3339 (2026-11-22T06:00:00Z), nanoseconds since 1970, or relative to now (-1h)", name, s)
	}
	if t.Year() < 1678 || t.Year() > 2261 {
		return 0, penstock.Errorf(penstock.Invalid, "%s=%.60q is outside the years 1678 to 2261", name, s)
	}
	return t.UnixNano(), nil
}

// addTime adds without running over.
func addTime(t, d int64) int64 {
	switch sum := t + d; {
	case d > 0 && sum < t:
		return math.MaxInt64
	case d < 0 && sum > t:
		return math.MinInt64
	default:
		return sum
	}
}

// parseDuration reads a positive duration: "90s", "1h30m", and whole or broken
// days and weeks: "7d", "2w".
func parseDuration(s string) (time.Duration, error) {
	unit := time.Duration(0)
	switch {
	case strings.HasSuffix(s, "d"):
		unit = 24 * time.Hour
	case strings.HasSuffix(s, "w"):
		unit = 7 * 24 * time.Hour
	}
	if unit > 0 {
		n, err := strconv.ParseFloat(s[:len(s)-1], 64)
		if d := n * float64(unit); err == nil && d >= 1 && d < math.MaxInt64 {
			return time.Duration(d), nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, penstock.Errorf(penstock.Invalid, "%.40q is not a duration: it is a number above 0 with ns, us, ms, s, m, h, d or w behind it", s)
}

func parseTimeFormat(s string) (reportjson.TimeFormat, error) {
	switch s {
	case "", "rfc3339":
		return reportjson.RFC3339, nil
	case "ns":
		return reportjson.Nanoseconds, nil
	}
	return 0, penstock.Errorf(penstock.Invalid, "time=%.40q is not rfc3339 or ns", s)
}

// parseLimit reads the largest number of samples; 0 means no limit.
func parseLimit(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, penstock.Errorf(penstock.Invalid, "limit=%.40q is not a number above 0", s)
	}
	return n, nil
}

// negotiate chooses the format of an answer with samples by the header Accept.
func negotiate(accept []string) (render.Format, error) {
	header := strings.Join(accept, ",")
	if strings.TrimSpace(header) == "" {
		return render.JSON, nil
	}
	best, weight := render.JSON, 0.0
	for item := range strings.SplitSeq(header, ",") {
		media, params, _ := strings.Cut(item, ";")
		format, ok := formatOf(strings.ToLower(strings.TrimSpace(media)))
		if q := quality(params); ok && q > weight {
			best, weight = format, q
		}
	}
	if weight == 0 {
		return 0, problem.New(problem.NotAcceptable, "The answer is JSON, NDJSON or CSV.")
	}
	return best, nil
}

func formatOf(media string) (render.Format, bool) {
	switch media {
	case web.JSONType, "*/*", "application/*":
		return render.JSON, true
	case mediaNDJSON, "application/ndjson", "application/jsonl":
		return render.NDJSON, true
	case "text/csv", "text/*":
		return render.CSV, true
	}
	return 0, false
}

// quality returns the weight of an item of Accept; one that cannot be read is 1.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			if q, err := strconv.ParseFloat(v, 64); err == nil && q >= 0 && q <= 1 {
				return q
			}
		}
	}
	return 1
}
