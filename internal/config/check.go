package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// check reads the files of secrets, relative to dir, and validates every value.
func (l *loader) check(dir string) {
	read := func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return readLimited(path)
	}
	wrong := l.problems
	walk(l.dst, "", func(v reflect.Value, key string) {
		if kind, _ := formOf(v.Type()); (kind == ownForm || kind == listForm) && within(wrong, key) {
			return // it could not be read: what it would say now misleads
		}
		if secret, ok := v.Addr().Interface().(*Secret); ok {
			if err := secret.resolve(read); err != nil {
				l.refuse(nearestPlace(l.places, key), key, err.Error())
			}
		}
		if checked, ok := v.Addr().Interface().(interface{ Validate() error }); ok {
			l.invalid(checked.Validate(), v.Type(), key)
		}
	})
}

// within tells whether one of the problems is at the key or below it.
func within(problems []Problem, key string) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		rest, found := strings.CutPrefix(p.Key, key)
		return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// invalid notes what a Validate returned, each joined error apart.
func (l *loader) invalid(err error, t reflect.Type, key string) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, inner := range joined.Unwrap() {
			l.invalid(inner, t, key)
		}
		return
	}
	text := err.Error()
	if name, rest, found := strings.Cut(text, ": "); found && leads(t, name) {
		key, text = join(key, name), rest
	}
	l.refuse(nearestPlace(l.places, key), key, text)
}

// leads tells whether the first part of a path is a key of the struct.
func leads(t reflect.Type, path string) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		end = len(path)
	}
	_, found := fieldNamed(t, path[:end])
	return found
}

// walk visits every value that can be reached by keys, the inner ones first.
// Values are addressable; those of maps are copies that are written back.
func walk(v reflect.Value, key string, visit func(v reflect.Value, key string)) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			walk(v.FieldByIndex(f.index), join(key, f.name), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), key+"["+strconv.Itoa(i)+"]", visit)
		}
	case reflect.Map:
		for _, name := range sortedKeys(v) {
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(name))
			walk(element, join(key, fmt.Sprint(name)), visit)
			v.SetMapIndex(name, element)
		}
	}
	visit(v, key)
}

func sortedKeys(m reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(m.MapKeys()), func(a, b reflect.Value) int {
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

// nearestPlace returns the place of the key, or of the nearest section around it
// that was given.
func nearestPlace(places map[string]place, key string) place {
	for key != "" {
		if found, ok := places[key]; ok {
			return found
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return place{}
}
