package config

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"

	"github.com/penstock/penstock"
)

// carried is a configuration on its way, with what its secrets hide, in the order
// in which walk comes to them.
type carried struct {
	Config  json.RawMessage
	Secrets []carriedSecret
}

type carriedSecret struct{ Value, File string }

// Carry returns what src points to, a configuration that holds, for another
// process of the same program. The secrets stand in it in the clear: it is for a
// pipe, not for a file.
func Carry(src any) ([]byte, error) {
	text, err := json.Marshal(tree(reflect.ValueOf(src)))
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "the configuration cannot be carried: %w", err)
	}
	return json.Marshal(carried{Config: text, Secrets: secretsIn(reflect.ValueOf(src))})
}

// tree returns a value without what is zero in it: the types of keys need not be
// able to write and read that.
func tree(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		return tree(v.Elem())
	}
	if text, ok := v.Interface().(encoding.TextMarshaler); ok {
		return text
	}
	switch v.Kind() {
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch inner := v.Field(i); {
			case !f.IsExported() || inner.IsZero():
			case f.Anonymous && inner.Kind() == reflect.Struct:
				maps.Copy(fields, tree(inner).(map[string]any))
			default:
				fields[f.Name] = tree(inner)
			}
		}
		return fields
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = tree(v.Index(i))
		}
		return list
	case reflect.Map:
		values := reflect.MakeMap(reflect.MapOf(v.Type().Key(), reflect.TypeFor[any]()))
		for _, name := range v.MapKeys() {
			values.SetMapIndex(name, reflect.ValueOf(tree(v.MapIndex(name))))
		}
		return values.Interface()
	}
	return v.Interface()
}

// secretsIn returns the secrets in the order of walk, and changes nothing: others
// may be reading.
func secretsIn(v reflect.Value) (found []carriedSecret) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if s, ok := v.Interface().(Secret); ok {
		return []carriedSecret{{s.value, s.file}}
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			found = append(found, secretsIn(v.FieldByIndex(f.index))...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = append(found, secretsIn(v.Index(i))...)
		}
	case reflect.Map:
		for _, name := range sortedKeys(v) {
			found = append(found, secretsIn(v.MapIndex(name))...)
		}
	}
	return found
}

// Receive fills what dst points to, a zero value, with what [Carry] returned for a
// value of that type.
func Receive(text []byte, dst any) error {
	var c carried
	err := json.Unmarshal(text, &c)
	if err == nil {
		err = json.Unmarshal(c.Config, dst)
	}
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "the configuration that came over cannot be read")
	}
	walk(reflect.ValueOf(dst), "", func(v reflect.Value, _ string) {
		if s, ok := v.Addr().Interface().(*Secret); ok && len(c.Secrets) > 0 {
			*s = Secret{c.Secrets[0].Value, c.Secrets[0].File}
			c.Secrets = c.Secrets[1:]
		}
	})
	return nil
}
