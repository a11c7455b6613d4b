package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/invopop/jsonschema"
)

// Schema returns the JSON Schema (draft 2020-12) of the struct that v points
// to, for editors that complete and check YAML. Descriptions come from the
// `jsonschema_description` tags, defaults from v.
func Schema(v any) ([]byte, error) {
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true,
		FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true,
		Mapper: mapped,
	}
	schema := reflector.Reflect(v)
	addDefaults(schema, reflect.ValueOf(v))
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the schema of %T cannot be written: %w", v, err)
	}
	return append(text, '\n'), nil
}

// mapped describes the types of others that are written in a way of their own.
func mapped(t reflect.Type) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return Duration(0).JSONSchema()
	case decodesItself(reflect.PointerTo(t)) && !describesItself(t):
		return &jsonschema.Schema{} // anything: the type itself checks it
	}
	return nil
}

func describesItself(t reflect.Type) bool {
	describes := reflect.TypeFor[interface{ JSONSchema() *jsonschema.Schema }]()
	return t.Implements(describes) || reflect.PointerTo(t).Implements(describes)
}

// addDefaults writes the values of v as defaults below the schema's properties.
func addDefaults(schema *jsonschema.Schema, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || schema.Properties == nil {
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		property, found := schema.Properties.Get(f.name)
		if !found {
			continue
		}
		value := v.FieldByIndex(f.index)
		switch kind, _ := formOf(f.typ); kind {
		case structForm:
			addDefaults(property, value)
		case scalarForm, textForm:
			if text := defaultText(value); text != "" && text != redacted {
				property.Default = defaultValue(value, text)
			}
		}
	}
}

func defaultValue(v reflect.Value, text string) any {
	if kind, _ := formOf(v.Type()); kind == scalarForm && v.Kind() != reflect.String {
		return json.RawMessage(text)
	}
	return text
}
