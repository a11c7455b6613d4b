package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Reference returns a Markdown table of every key below the struct that v
// points to: how it is written, its default as it stands in v, its environment
// variable and what it means. Elements of lists are shown as "points[]", those of
// maps as "sinks.NAME".
func Reference(v any) []byte {
	var b strings.Builder
	b.WriteString("| key | value | default | environment | meaning |\n|---|---|---|---|---|\n")
	root := reflect.ValueOf(v)
	for root.Kind() == reflect.Pointer {
		root = root.Elem()
	}
	referStruct(&b, root, "", true)
	return []byte(b.String())
}

// referStruct writes the rows of a struct; inEnviron tells whether its scalars
// can be set by variables.
func referStruct(b *strings.Builder, v reflect.Value, key string, inEnviron bool) {
	for _, f := range fieldsOf(v.Type()) {
		value, inner := v.FieldByIndex(f.index), join(key, f.name)
		for value.Kind() == reflect.Pointer && !value.IsNil() {
			value = value.Elem()
		}
		kind, behind := formOf(f.typ)
		if kind == structForm {
			if value.Kind() == reflect.Pointer {
				value = newElement(behind)
			}
			if f.description != "" {
				row{key: inner, value: "section", meaning: f.description}.write(b)
			}
			referStruct(b, value, inner, inEnviron)
			continue
		}
		variable := ""
		if inEnviron && (kind == scalarForm || kind == textForm) {
			variable = envName(inner)
		}
		row{inner, typeName(f.typ), defaultText(value), variable, f.description}.write(b)
		referElements(b, f.typ, inner)
	}
}

// referElements writes the rows of the structs that a list or a map holds.
func referElements(b *strings.Builder, t reflect.Type, key string) {
	kind, t := formOf(t)
	switch kind {
	case listForm:
		key += "[]"
	case mapForm:
		key += ".NAME"
	default:
		return
	}
	if inner, element := formOf(t.Elem()); inner == structForm {
		referStruct(b, newElement(element), key, false)
	}
}

// row is a line of the table.
type row struct {
	key, value, standard, variable, meaning string
}

func (r row) write(b *strings.Builder) {
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", code(r.key), r.value, code(r.standard), code(r.variable), strings.ReplaceAll(r.meaning, "|", `\|`))
}

// typeName says in a word or two how the values of a type are written.
func typeName(t reflect.Type) string {
	kind, t := formOf(t)
	switch t {
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Duration](), reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[Address]():
		return "address"
	case reflect.TypeFor[Secret]():
		return "secret"
	}
	switch kind {
	case listForm:
		return "list of " + typeName(t.Elem())
	case mapForm:
		return "map of " + typeName(t.Elem())
	case structForm:
		return "sections"
	case ownForm:
		return "several forms"
	case textForm:
		return "text"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.String:
		return "text"
	}
	return "whole number"
}

// defaultText returns a scalar as it would be written, "" for an empty one.
func defaultText(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return ""
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return Duration(d).String()
	}
	if text, ok := v.Interface().(encoding.TextMarshaler); ok {
		written, _ := text.MarshalText()
		return string(written)
	}
	switch kind, _ := formOf(v.Type()); kind {
	case scalarForm:
		return fmt.Sprint(v.Interface())
	case listForm:
		if written, err := yaml.MarshalWithOptions(v.Interface(), yaml.Flow(true)); err == nil && v.Len() > 0 {
			return strings.TrimSpace(string(written))
		}
	}
	return ""
}

// Print returns the configuration that v points to as YAML. Secrets are
// redacted; a comment names the origin of every value that is not a default.
func Print(v any, loaded *Loaded) ([]byte, error) {
	comments := yaml.CommentMap{}
	for key, where := range loaded.places {
		if !where.section {
			comments["$."+key] = []*yaml.Comment{yaml.LineComment(" " + where.String())}
		}
	}
	text, err := yaml.MarshalWithOptions(v, yaml.WithComment(comments))
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be written: %w", err)
	}
	return text, nil
}
