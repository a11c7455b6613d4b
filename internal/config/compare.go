package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// Change is a key that has another value in one configuration than in another.
type Change struct {
	Key    string // elements of lists that have a name go by it: sources[line-3].modbus.url
	Before string // secrets redacted; empty for none
	After  string
}

// Compare returns the keys that differ between two configurations of one type, which v
// and w point to, in the order in which they are declared.
func Compare(v, w any) []Change {
	before, after := shown{}, shown{}
	keys := before.flatten(reflect.ValueOf(v).Elem(), "", nil)
	keys = after.flatten(reflect.ValueOf(w).Elem(), "", keys)
	var changes []Change
	for _, key := range keys {
		a, inA := before[key]
		b, inB := after[key]
		if inA != inB || !reflect.DeepEqual(a.value, b.value) {
			changes = append(changes, Change{Key: key, Before: a.text, After: b.text})
		}
	}
	return changes
}

// shown are the values of a configuration that have a text of their own, by key.
type shown map[string]struct {
	value any
	text  string
}

// flatten notes the values below a key, and appends their keys that are not yet
// listed.
func (s shown) flatten(v reflect.Value, key string, keys []string) []string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return keys
		}
		v = v.Elem()
	}
	switch kind, t := formOf(v.Type()); {
	case kind == structForm:
		for _, f := range fieldsOf(t) {
			keys = s.flatten(v.FieldByIndex(f.index), join(key, f.name), keys)
		}
		return keys
	case kind == mapForm:
		for _, name := range sortedKeys(v) {
			keys = s.flatten(v.MapIndex(name), join(key, fmt.Sprint(name)), keys)
		}
		return keys
	case t.Kind() == reflect.Slice && isSection(t.Elem()): // also one that decodes itself
		for i := range v.Len() {
			keys = s.flatten(v.Index(i), key+"["+elementName(v.Index(i), i)+"]", keys)
		}
		return keys
	}
	if v.IsZero() {
		return keys // as good as not there
	}
	s[key] = struct {
		value any
		text  string
	}{v.Interface(), text(v)}
	if !slices.Contains(keys, key) {
		keys = append(keys, key)
	}
	return keys
}

func isSection(t reflect.Type) bool {
	kind, _ := formOf(t)
	return kind == structForm || kind == mapForm
}

// elementName returns the name of an element of a list, or else its place.
func elementName(v reflect.Value, i int) string {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct {
		if f, ok := fieldNamed(v.Type(), "name"); ok {
			if name := v.FieldByIndex(f.index); name.Kind() == reflect.String && name.String() != "" {
				return name.String()
			}
		}
	}
	return strconv.Itoa(i)
}

// text returns a value as it would be written in one line.
func text(v reflect.Value) string {
	if written := defaultText(v); written != "" {
		return written
	}
	written, err := yaml.MarshalWithOptions(v.Interface(), yaml.Flow(true))
	if err != nil {
		return "(cannot be written: " + err.Error() + ")"
	}
	return strings.TrimSpace(string(written))
}
