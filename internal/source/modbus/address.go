package modbus

import (
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// Address is where a point stands, as people write it: "40101", "holding 100",
// "input 0x10", "holding 100.3".
type Address struct {
	text   string
	table  wire.Function
	number int  // as written
	plain  bool // written as a word and a number: counted from 0 or 1 as the device does
	bit    int  // of a register, -1 for none
}

const addressHelp = "write a number of 5 or 6 digits such as 40101, or a word and a number such as 'holding 100', and for a bit of a register 'holding 100.3'"

// UnmarshalText reads an address. After an error it has no table.
func (a *Address) UnmarshalText(text []byte) error {
	*a = Address{text: strings.TrimSpace(string(text)), bit: -1}
	err := a.parse()
	if err == nil && a.bit >= 0 && a.table.Bits() {
		err = penstock.Errorf(penstock.Invalid, "%q names a bit of what is a single bit already", a.text)
	}
	if err != nil {
		a.table = 0
	}
	return err
}

func (a *Address) parse() error {
	rest := a.text
	if before, bit, found := strings.Cut(rest, "."); found {
		n, err := strconv.ParseUint(bit, 10, 8)
		if err != nil || n > 15 {
			return penstock.Errorf(penstock.Invalid, "%q has a bit that is none of 0 to 15", a.text)
		}
		rest, a.bit = before, int(n)
	}
	word, number, found := strings.Cut(rest, " ")
	if !found {
		return a.reference(rest)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(number), 0, 17)
	if err != nil || n > 1<<16 {
		return penstock.Errorf(penstock.Invalid, "%q has a number that is none of 0 to 65536: %s", a.text, addressHelp)
	}
	a.number, a.plain = int(n), true
	switch word {
	case "coil":
		a.table = wire.ReadCoils
	case "discrete":
		a.table = wire.ReadDiscrete
	case "input":
		a.table = wire.ReadInput
	case "holding":
		a.table = wire.ReadHolding
	default:
		return penstock.Errorf(penstock.Invalid, "%q begins with none of coil, discrete, input and holding: %s", a.text, addressHelp)
	}
	return nil
}

// reference reads the notation whose first digit is the table and whose other
// digits count from 1.
func (a *Address) reference(digits string) error {
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(digits) != 5 && len(digits) != 6 {
		return penstock.Errorf(penstock.Invalid, "%q is no address: %s", a.text, addressHelp)
	}
	unit := uint64(10_000)
	if len(digits) == 6 {
		unit = 100_000
	}
	switch n / unit {
	case 0:
		a.table = wire.ReadCoils
	case 1:
		a.table = wire.ReadDiscrete
	case 3:
		a.table = wire.ReadInput
	case 4:
		a.table = wire.ReadHolding
	default:
		return penstock.Errorf(penstock.Invalid, "%q begins with none of 0 (coils), 1 (discrete inputs), 3 (input registers) and 4 (holding registers)", a.text)
	}
	a.number = int(n % unit)
	if a.number == 0 || a.number > 1<<16 {
		return penstock.Errorf(penstock.Invalid, "%q is outside of its table: the first is %c%0*d, counted from 1", a.text, digits[0], len(digits)-1, 1)
	}
	return nil
}

// MarshalText writes the address as it was read.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.text), nil }

// JSONSchema describes an address to editors.
func (Address) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Description: "address such as 40101, holding 100 or holding 100.3",
		OneOf:       []*jsonschema.Schema{{Type: "string"}, {Type: "integer"}},
	}
}

// set tells whether there is an address at all.
func (a Address) set() bool { return a.text != "" }

// first returns the address on the wire, counted from 0, which is negative or
// beyond 65535 when there is none such.
func (a Address) first(countFrom int) int {
	if a.plain {
		return a.number - countFrom
	}
	return a.number - 1
}
