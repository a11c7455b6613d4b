package pipeline

import (
	"reflect"

	"github.com/invopop/jsonschema"
)

// JSONSchema describes an entry of the list for editors: the name of a step, or
// an object with the name as its only key.
func (Step) JSONSchema() *jsonschema.Schema {
	names := &jsonschema.Schema{Type: "string", Description: "a step with its default settings"}
	for _, name := range stepNames {
		names.Enum = append(names.Enum, name)
	}
	type plain Step // without this method
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true,
		FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, Mapper: spanSchema,
	}
	one := uint64(1)
	settings := reflector.Reflect(plain{})
	settings.Version, settings.MinProperties, settings.MaxProperties = "", &one, &one
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{names, settings}}
}

func spanSchema(t reflect.Type) *jsonschema.Schema {
	if t != reflect.TypeFor[Span]() {
		return nil
	}
	return &jsonschema.Schema{Type: "string", Examples: []any{"90s", "24h", "7d"}}
}
