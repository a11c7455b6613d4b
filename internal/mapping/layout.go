package mapping

import (
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/tree"
	"github.com/penstock/penstock/internal/suggest"
)

// form is how the bytes of a field are read.
type form uint8

const (
	unsigned form = iota
	signed
	float
	boolean
	bcd
	text
	hexText
	cp56time
	bcdtime
)

// fieldType is a type of field; size is 0 where the field says it.
type fieldType struct {
	name string
	form form
	size int
}

// fieldTypes are all types, in the order in which people are told.
var fieldTypes = [...]fieldType{
	{"u8", unsigned, 1}, {"u16", unsigned, 2}, {"u24", unsigned, 3}, {"u32", unsigned, 4}, {"u48", unsigned, 6}, {"u64", unsigned, 8},
	{"i8", signed, 1}, {"i16", signed, 2}, {"i24", signed, 3}, {"i32", signed, 4}, {"i48", signed, 6}, {"i64", signed, 8},
	{"f32", float, 4}, {"f64", float, 8}, {"bool", boolean, 1},
	{"bcd", bcd, 0}, {"text", text, 0}, {"hex", hexText, 0}, {"cp56time", cp56time, 7}, {"bcdtime", bcdtime, 6},
}

// order is how the bytes of a number stand: A is the highest.
type order uint8

const (
	abcd order = iota // big
	dcba              // little
	cdab              // 16-bit words, the low one first, each with its high byte first
	badc              // 16-bit words, the high one first, each with its low byte first
)

var orders = map[string]order{"": abcd, "big": abcd, "abcd": abcd, "little": dcba, "dcba": dcba, "cdab": cdab, "badc": badc}

func parseOrder(name string) (order, error) {
	o, ok := orders[strings.ToLower(name)]
	if !ok {
		return 0, penstock.Errorf(penstock.Invalid, "%.20q is no order of bytes: write big, little, CDAB or BADC", name)
	}
	return o, nil
}

// layoutField is a field with its place: at is −1 for right behind the one
// before, size −1 for up to the end.
type layoutField struct {
	name      string
	at, size  int
	form      form
	order     order
	bits      bool
	low, high uint // of the bits
}

// layoutGroup is a group with its fields.
type layoutGroup struct {
	name   string
	at     int
	count  tree.Template // empty for as many as there are
	fields []layoutField
	stride int
}

// layout is what stands where, in one case of a payload.
type layout struct {
	fields []layoutField
	groups []layoutGroup
}

// compileField checks one field. Key is its place in the configuration.
func (c *compiler) field(key string, f Field, normal order) layoutField {
	made := layoutField{name: f.Name, at: -1}
	if !isFieldName(f.Name) {
		c.refuse(key+".name", "%.40q is no name: letters, digits, _ and - only", f.Name)
	}
	if f.At != nil {
		if made.at = *f.At; made.at < 0 {
			c.refuse(key+".at", "%d: bytes are counted from 0", made.at)
		}
	}
	i := slices.IndexFunc(fieldTypes[:], func(t fieldType) bool { return t.name == strings.ToLower(f.Type) })
	if i < 0 {
		c.refuse(key+".type", "%s", unknownName("type", f.Type, typeNames()))
		return made
	}
	made.form, made.size = fieldTypes[i].form, fieldTypes[i].size
	c.length(key, f, &made)
	made.order = c.fieldOrder(key+".order", f, made, normal)
	if f.Bits != "" {
		c.bits(key+".bits", f, &made)
	}
	return made
}

// fieldOrder returns the order of a field's bytes. Those of 16-bit words mean
// something for longer numbers only; a single word has its bytes in order.
func (c *compiler) fieldOrder(key string, f Field, made layoutField, normal order) order {
	o := normal
	if f.Order != "" {
		var err error
		o, err = parseOrder(f.Order)
		c.check(key, err)
	}
	if o != cdab && o != badc || made.form <= float && (made.size == 4 || made.size == 8) {
		return o
	}
	if f.Order != "" {
		c.refuse(key, "%s is for numbers of 4 or 8 bytes, not for %s", f.Order, f.Type)
	}
	if o == badc && made.form <= float && made.size == 2 {
		return dcba
	}
	return abcd
}

func (c *compiler) length(key string, f Field, made *layoutField) {
	switch {
	case made.size > 0 && f.Length != 0 && f.Length != made.size:
		c.refuse(key+".length", "%s always has a length of %d: leave it out", f.Type, made.size)
	case made.size > 0:
	case f.Length < 0, made.form == bcd && (f.Length < 1 || f.Length > 8):
		c.refuse(key+".length", "%d is no length of a %s: bcd has 1 to 8 bytes, the others 1 or more", f.Length, f.Type)
	case f.Length > 0:
		made.size = f.Length
	default:
		made.size = -1
	}
}

// bits reads "3" or "4-7".
func (c *compiler) bits(key string, f Field, made *layoutField) {
	low, high, isRange := strings.Cut(f.Bits, "-")
	if !isRange {
		high = low
	}
	l, err := strconv.ParseUint(low, 10, 6)
	h, err2 := strconv.ParseUint(high, 10, 6)
	if err != nil || err2 != nil || l > h || made.form != unsigned || int(h) >= 8*made.size {
		c.refuse(key, "%.20q are no bits of a %s: write one such as 3, or a range such as 4-7, of an unsigned number", f.Bits, f.Type)
		return
	}
	made.bits, made.low, made.high = true, uint(l), uint(h)
	if !isRange {
		made.form = boolean
	}
}

// layout compiles fields and groups, and checks them against the size of the
// payload where it is fixed. It goes on where the fields before it end.
func (c *compiler) layout(key string, fields []Field, groups []Group, start int) (layout, int) {
	var l layout
	for i, f := range fields {
		made := c.field(index(key+"fields", i), f, c.order)
		start = c.place(index(key+"fields", i), &made, start, c.size)
		c.declare(made.name, index(key+"fields", i)+".name")
		l.fields = append(l.fields, made)
	}
	for i, g := range groups {
		l.groups = append(l.groups, c.group(index(key+"groups", i), g))
		if g.At != nil && c.size > 0 && *g.At > c.size {
			c.refuse(index(key+"groups", i)+".at", "%d is behind the end: the payload has %d bytes", *g.At, c.size)
		}
	}
	return l, start
}

// place gives a field its place if it has none, and returns where it ends; −1 is
// not known. Limit is the size of what it stands in, 0 when that is not known.
func (c *compiler) place(key string, f *layoutField, start, limit int) int {
	if f.at < 0 {
		f.at = start
	}
	if f.at < 0 {
		c.refuse(key+".at", "%s stands behind a field without end: say where", f.name)
		f.at = 0
	}
	end := f.at + max(f.size, 0)
	if limit > 0 && end > limit {
		c.refuse(key+".at", "%s ends at byte %d: the payload has %d", f.name, end, limit)
	}
	if f.size < 0 {
		return -1
	}
	return end
}

func (c *compiler) group(key string, g Group) layoutGroup {
	made := layoutGroup{name: g.Name, at: -1}
	if !isFieldName(g.Name) {
		c.refuse(key+".name", "%.40q is no name: letters, digits, _ and - only", g.Name)
	}
	c.declare(g.Name, key+".name")
	if g.At != nil {
		made.at = *g.At
	}
	if g.Count != "" {
		made.count = c.template(key+".count", g.Count, 0)
	}
	outer := c.members
	c.members = map[string]string{}
	end := 0
	for i, f := range g.Fields {
		field := c.field(index(key+".fields", i), f, c.order)
		if field.size < 0 {
			c.refuse(index(key+".fields", i)+".length", "a field of a group needs a length")
		}
		end = c.place(index(key+".fields", i), &field, end, 0)
		c.declare(field.name, index(key+".fields", i)+".name")
		made.stride = max(made.stride, end)
		made.fields = append(made.fields, field)
	}
	c.groups[g.Name] = c.members
	c.members = outer
	if made.stride == 0 {
		c.refuse(key+".fields", "a group needs fields")
	}
	return made
}

func isFieldName(name string) bool {
	if name == "" {
		return false
	}
	for _, r := range name {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return true
}

func typeNames() []string {
	names := make([]string, len(fieldTypes))
	for i, t := range fieldTypes {
		names[i] = t.name
	}
	return names
}

// unknownName says that there is no such thing, and which was meant.
func unknownName(what, got string, known []string) string {
	if got == "" {
		return "a " + what + " is missing: it is one of " + strings.Join(known, ", ")
	}
	text := "there is no " + what + " " + strconv.Quote(tree.Shorten(got))
	if near := suggest.Nearest(got, known); near != "" {
		return text + "; did you mean " + near + "?"
	}
	return text + ": it is one of " + strings.Join(known, ", ")
}

func index(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }
