package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// Size is a number of bytes, written as "64MiB", "1.5GB" or "512".
type Size int64

// Binary and decimal units, the largest that divides a size without remainder
// first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6},
	{"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
}

// UnmarshalText reads a size. The unit's letters may be in any case.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := strings.TrimSpace(string(text)), int64(1)
	for _, unit := range sizeUnits {
		cut := len(number) - len(unit.name)
		if cut >= 0 && strings.EqualFold(number[cut:], unit.name) {
			number, factor = strings.TrimSpace(number[:cut]), unit.bytes
			break
		}
	}
	if whole, err := strconv.ParseInt(number, 10, 64); err == nil && whole >= 0 && whole <= math.MaxInt64/factor {
		*s = Size(whole * factor)
		return nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f >= 0) || !(f*float64(factor) < math.MaxInt64) {
		return fmt.Errorf("%q is not a size: write a number with a unit, as in 64MiB or 1.5GB", text)
	}
	*s = Size(f * float64(factor))
	return nil
}

// String returns the size in the largest binary unit that gives a whole number,
// or in bytes.
func (s Size) String() string {
	for _, unit := range sizeUnits {
		if binary := strings.HasSuffix(unit.name, "iB"); binary && s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText returns what String returns; UnmarshalText reads it back.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// JSONSchema describes the type to editors.
func (Size) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		OneOf: []*jsonschema.Schema{
			{Type: "string", Pattern: `^[0-9]+(\.[0-9]+)? ?([kKMGTmgt]i?)?[bB]?$`},
			{Type: "integer", Minimum: "0"},
		},
		Examples: []any{"64MiB"},
	}
}
