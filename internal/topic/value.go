package topic

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// parseValue reads a payload that is a single value of the kind. "null" and, for
// a number, "nan" say that there is no value: the status is bad then. Errors have
// code [penstock.Invalid], or [penstock.TooLarge] for a text.
func parseValue(payload []byte, kind penstock.Kind) (penstock.Value, penstock.Status, error) {
	if kind == penstock.Text {
		return parseText(payload)
	}
	const longest = 64 // digits of any number that a controller sends, with room
	if len(payload) > longest {
		return penstock.Value{}, 0, penstock.Errorf(penstock.Invalid, "a payload of %d bytes is not a single %s", len(payload), kind)
	}
	text := strings.ToLower(strings.TrimSpace(string(payload)))
	if text == "null" || text == "nan" && kind != penstock.Bool {
		return penstock.Value{}, penstock.Bad, nil
	}
	if v, ok := parseSingle(text, kind); ok {
		return v, penstock.Good, nil
	}
	return penstock.Value{}, 0, penstock.Errorf(penstock.Invalid, "the payload %.40q is no %s", payload, kind)
}

func parseSingle(text string, kind penstock.Kind) (penstock.Value, bool) {
	switch kind {
	case penstock.Float64:
		f, err := strconv.ParseFloat(text, 64)
		return penstock.FloatValue(f), err == nil && !math.IsInf(f, 0) && !strings.ContainsAny(text, "xp_")
	case penstock.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		return penstock.IntValue(n), err == nil
	case penstock.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		return penstock.UintValue(n), err == nil
	case penstock.Bool:
		switch text {
		case "true", "1", "on":
			return penstock.BoolValue(true), true
		case "false", "0", "off":
			return penstock.BoolValue(false), true
		}
	}
	return penstock.Value{}, false
}

func parseText(payload []byte) (penstock.Value, penstock.Status, error) {
	if len(payload) > penstock.MaxText {
		return penstock.Value{}, 0, penstock.Errorf(penstock.TooLarge, "a text has at most %d bytes, this one has %d", penstock.MaxText, len(payload))
	}
	if !utf8.Valid(payload) {
		return penstock.Value{}, 0, penstock.Errorf(penstock.Invalid, "the payload is not valid UTF-8")
	}
	return penstock.TextValue(string(payload)), penstock.Good, nil
}
