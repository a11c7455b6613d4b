// Package config loads the configuration of a program from YAML, an
// environment file, the environment and the command line. It knows no
// component: the caller gives a struct filled with defaults, and each component
// brings its own struct with `yaml` and `jsonschema_description` tags and, where
// there are rules, a method Validate() error.
//
// # Precedence
//
// From weak to strong: the defaults in the struct, the file, the environment
// file (.env) beside it, the environment, --set. Structs and maps merge key by
// key; lists and scalars are replaced whole.
//
// # Strictness
//
// An unknown key, a key given twice, a wrong type or a value outside its rules
// is an error that names file, line and column. All problems are reported at
// once. Anchors, aliases, merge keys and tags are refused: a value stands where
// it is used.
//
// # Custom types
//
// A type that implements [encoding.TextUnmarshaler] is a scalar. A type that
// implements one of the unmarshaler interfaces of goccy/go-yaml decodes itself.
// The elements of maps and lists start from their zero value, or from what
// SetDefaults() makes of it where their type has that method.
package config
