package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// A tree is made of [penstock.Value] (of kind None for null), []any,
// map[string]any, and [Faulty].

// Faulty is a value that stands there and makes no sense.
type Faulty struct{ Why string }

const (
	maxDepth = 64
	maxNodes = 1 << 18 // values of one JSON payload: bounds its memory
)

// ParseJSON reads one JSON document. Names that stand twice in an object are an
// error, and integers keep all their 64 bits.
func ParseJSON(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, penstock.Errorf(penstock.Invalid, "the payload is not valid UTF-8, so it is no JSON")
	}
	r := &jsonReader{decoder: json.NewDecoder(bytes.NewReader(body))}
	r.decoder.UseNumber()
	tree, err := r.value(0)
	if err == nil {
		if _, more := r.decoder.Token(); !errors.Is(more, io.EOF) {
			err = penstock.Errorf(penstock.Invalid, "something stands behind the JSON document")
		}
	}
	if err != nil {
		if penstock.CodeOf(err) == penstock.TooLarge {
			return nil, err
		}
		if errors.Is(err, io.EOF) {
			err = penstock.Errorf(penstock.Invalid, "it ends too early")
		}
		return nil, penstock.Errorf(penstock.Invalid, "the payload is no JSON, at byte %d: %w", r.decoder.InputOffset(), err)
	}
	return tree, nil
}

type jsonReader struct {
	decoder *json.Decoder
	nodes   int
}

func (r *jsonReader) value(depth int) (any, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	if r.nodes++; r.nodes > maxNodes {
		return nil, penstock.Errorf(penstock.TooLarge, "the payload has more than %d values: send it in parts", maxNodes)
	}
	if depth > maxDepth {
		return nil, penstock.Errorf(penstock.Invalid, "it is nested more than %d deep", maxDepth)
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '[' {
			return r.list(depth)
		}
		return r.object(depth)
	case json.Number:
		return ParseNumber(string(v))
	case string:
		return penstock.TextValue(v), nil
	case bool:
		return penstock.BoolValue(v), nil
	}
	return penstock.Value{}, nil // null
}

func (r *jsonReader) list(depth int) (any, error) {
	list := []any{}
	for r.decoder.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.decoder.Token()
	return list, err
}

func (r *jsonReader) object(depth int) (any, error) {
	object := map[string]any{}
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, err
		}
		name := token.(string) // the decoder takes nothing else here
		if _, twice := object[name]; twice {
			return nil, penstock.Errorf(penstock.Invalid, "the name %.40q stands twice in one object", name)
		}
		if object[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := r.decoder.Token()
	return object, err
}

// ParseNumber reads a number: a whole one that 64 bits hold stays whole.
func ParseNumber(text string) (penstock.Value, error) {
	if !strings.ContainsAny(text, ".eE") && text != "-0" {
		if v, err := strconv.ParseInt(text, 10, 64); err == nil {
			return penstock.IntValue(v), nil
		}
		if v, err := strconv.ParseUint(text, 10, 64); err == nil {
			return penstock.UintValue(v), nil
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return penstock.Value{}, penstock.Errorf(penstock.Invalid, "%.40q is no number that a float64 holds", text)
	}
	return penstock.FloatValue(v), nil
}

// Walk follows the steps from v and calls yield with what it finds: once, or
// with [*] any number of times. It returns false when yield did.
func Walk(v any, steps []Step, yield func(any) bool) bool {
	for i, s := range steps {
		switch list, isList := v.([]any); {
		case s.Index == ByName:
			object, _ := v.(map[string]any)
			inner, found := object[s.Name]
			if !found {
				return true
			}
			v = inner
		case !isList:
			return true
		case s.Index == All:
			for _, element := range list {
				if !Walk(element, steps[i+1:], yield) {
					return false
				}
			}
			return true
		case s.Index < len(list):
			v = list[s.Index]
		default:
			return true
		}
	}
	return yield(v)
}

// Elements returns what a list is gone through as: of an object, each member as
// an object of key and value, in the order of the keys.
func Elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case map[string]any:
		var members []any
		for _, key := range slices.Sorted(maps.Keys(v)) {
			members = append(members, map[string]any{"key": penstock.TextValue(key), "value": v[key]})
		}
		return members, true
	}
	return nil, false
}

// Describe says in a word what v is.
func Describe(v any) string {
	switch v := v.(type) {
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case Faulty:
		return "not readable, since " + v.Why
	case penstock.Value:
		if v.Kind() == penstock.None {
			return "null"
		}
		return "the " + v.Kind().String() + " " + strconv.Quote(Shorten(v.String()))
	}
	return "nothing"
}

// Shorten returns the first of a text, for messages.
func Shorten(s string) string {
	const longest = 40
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
