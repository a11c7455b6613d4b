package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// field is a key of a struct.
type field struct {
	name        string
	description string
	index       []int
	typ         reflect.Type
}

// fieldsOf returns the keys of a struct in the order in which they are
// declared, those of inlined structs among them.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if options == "inline" && f.Type.Kind() == reflect.Struct {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		fields = append(fields, field{name, f.Tag.Get("jsonschema_description"), []int{i}, f.Type})
	}
	return fields
}

func fieldNamed(t reflect.Type, name string) (field, bool) {
	for _, f := range fieldsOf(t) {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, f.name)
	}
	return names
}

// form is how the values of a type are written.
type form uint8

const (
	scalarForm form = iota
	textForm        // a scalar that reads itself
	structForm
	mapForm
	listForm
	ownForm // decodes itself, or holds anything
)

// formOf returns the form of a type and the type behind its pointers.
func formOf(t reflect.Type) (form, reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	p := reflect.PointerTo(t)
	switch {
	case decodesItself(p):
		return ownForm, t
	case p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()), t == reflect.TypeFor[time.Duration]():
		return textForm, t
	}
	switch t.Kind() {
	case reflect.Struct:
		return structForm, t
	case reflect.Map:
		return mapForm, t
	case reflect.Slice:
		return listForm, t
	case reflect.Interface, reflect.Array:
		return ownForm, t
	}
	return scalarForm, t
}

func decodesItself(pointer reflect.Type) bool {
	for _, own := range []reflect.Type{
		reflect.TypeFor[yaml.BytesUnmarshaler](), reflect.TypeFor[yaml.BytesUnmarshalerContext](),
		reflect.TypeFor[yaml.InterfaceUnmarshaler](), reflect.TypeFor[yaml.InterfaceUnmarshalerContext](),
		reflect.TypeFor[yaml.NodeUnmarshaler](), reflect.TypeFor[yaml.NodeUnmarshalerContext](),
	} {
		if pointer.Implements(own) {
			return true
		}
	}
	return false
}

// leaf is a key whose value is a scalar and whose path goes through structs only.
type leaf struct {
	key  string
	name string // of its environment variable
}

// EnvPrefix begins the name of every environment variable that sets a key.
const EnvPrefix = "PENSTOCK_"

// envName returns the environment variable of a key: "listen.https" is
// PENSTOCK_LISTEN_HTTPS.
func envName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

func leavesOf(t reflect.Type, key string) []leaf {
	var leaves []leaf
	for _, f := range fieldsOf(t) {
		inner := join(key, f.name)
		switch kind, behind := formOf(f.typ); kind {
		case scalarForm, textForm:
			leaves = append(leaves, leaf{inner, envName(inner)})
		case structForm:
			leaves = append(leaves, leavesOf(behind, inner)...)
		}
	}
	return leaves
}

// secretNames returns the names of all keys, at any depth, that hold a [Secret].
func secretNames(t reflect.Type, seen map[reflect.Type]bool) []string {
	kind, t := formOf(t)
	if kind == mapForm || kind == listForm {
		return secretNames(t.Elem(), seen)
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return nil
	}
	seen[t] = true
	var names []string
	for _, f := range fieldsOf(t) {
		if _, behind := formOf(f.typ); behind == reflect.TypeFor[Secret]() {
			names = append(names, f.name)
			continue
		}
		names = append(names, secretNames(f.typ, seen)...)
	}
	return names
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
