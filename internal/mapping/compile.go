package mapping

import (
	"errors"
	"maps"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/mapping/tree"
)

// Mapping is a compiled [Config]. It is safe for concurrent use.
type Mapping struct {
	name       string
	lines      *lineLayout    // the payload is text
	in         *tree.Template // where the bytes stand in JSON
	encoding   string
	bytes      bool // there are fields of bytes
	size       int  // of the bytes, 0 for any
	main       layout
	each       *tree.Path
	controller tree.Template
	epoch, seq tree.Template
	first      uint64 // the number of the first report of an epoch
	key        tree.Template
	clock      *clock
	historical tree.Template
	points     []point
	by         tree.Template
	cases      map[string]branch
	signals    []signalPath
}

// branch is a compiled [Case].
type branch struct {
	layout layout
	points []point
}

// signalPath is where a quantity of the link stands.
type signalPath struct {
	quantity evidence.Quantity
	value    tree.Template
}

// compiler turns a Config into a Mapping and collects what is wrong.
type compiler struct {
	config   *Config
	problems []error
	order    order
	size     int                          // of the payload of bytes, 0 for any
	end      int                          // of the fields that all cases have, −1 when they have none
	members  map[string]string            // names of the fields that are known here
	groups   map[string]map[string]string // members of each group
	element  map[string]string            // of the group that is gone through; nil for unknown
}

// New compiles a mapping. Its error joins one of code [penstock.Invalid] for
// each mistake; each begins with the key that has it.
func New(name string, config Config) (*Mapping, error) {
	c := &compiler{config: &config, members: map[string]string{}, groups: map[string]map[string]string{}}
	m := &Mapping{name: name}
	c.payload(m)
	depth := 0
	if config.Each != "" {
		m.each = c.list("each", config.Each, 0)
		depth = 1
		if p := m.inPath(); p != nil && p.From == tree.InElement && m.each.From == tree.InFields {
			c.refuse("bytes.in", "{%s} is of an element, and the elements are of the bytes", p.Text)
		}
	}
	c.branches(m, depth)
	c.report(m, depth)
	return m, errors.Join(c.problems...)
}

// inPath returns where the bytes stand in JSON, nil when they do not.
func (m *Mapping) inPath() *tree.Path {
	if m.in == nil {
		return nil
	}
	return m.in.Single()
}

// Literal tells whether whole numbers come without a type, as in JSON and text.
func (m *Mapping) Literal() bool { return !m.bytes || m.in != nil }

func (c *compiler) refuse(key, format string, args ...any) {
	c.problems = append(c.problems, penstock.Errorf(penstock.Invalid, "%s: %w", key, penstock.Errorf(penstock.Invalid, format, args...)))
}

func (c *compiler) check(key string, err error) {
	if err != nil {
		c.refuse(key, "%w", err)
	}
}

// declare makes a name known, once.
func (c *compiler) declare(name, key string) {
	if before, twice := c.members[name]; twice && before != key {
		c.refuse(key, "%.40q is the name of another field already", name)
	}
	c.members[name] = key
}

// payload compiles what the payload is.
func (c *compiler) payload(m *Mapping) {
	b, t := c.config.Bytes, c.config.Text
	switch {
	case b != nil && t != nil:
		c.refuse("text", "a payload is bytes or text, not both")
	case t != nil:
		m.lines = &lineLayout{separator: t.Separator, fields: t.Fields}
		for i, name := range t.Fields {
			if !isFieldName(name) {
				c.refuse(index("text.fields", i), "%.40q is no name: letters, digits, _ and - only", name)
			}
			c.declare(name, index("text.fields", i))
		}
		if len(t.Fields) == 0 {
			c.refuse("text", "fields: the parts of a line need names")
		}
	case b != nil:
		c.payloadBytes(m, b)
	}
}

func (c *compiler) payloadBytes(m *Mapping, b *Bytes) {
	var err error
	c.order, err = parseOrder(b.Order)
	c.check("bytes.order", err)
	m.bytes, m.encoding, m.size = true, b.Encoding, b.Size
	if b.Size < 0 {
		c.refuse("bytes.size", "%d is no number of bytes", b.Size)
	}
	c.size = b.Size
	if b.In != "" {
		depth := 0
		if c.config.Each != "" {
			depth = 1
		}
		in := c.template("bytes.in", b.In, depth)
		if in.Single() == nil {
			c.refuse("bytes.in", "is one path, such as {data}")
		}
		m.in = &in
	}
	switch {
	case b.Encoding == "":
		m.encoding = "base64"
	case b.Encoding != "base64" && b.Encoding != "hex":
		c.refuse("bytes.encoding", "%s", unknownName("encoding", b.Encoding, []string{"base64", "hex"}))
	case b.In == "":
		c.refuse("bytes.encoding", "is for bytes that stand in JSON: say with in where that is")
	}
	m.main, c.end = c.layout("bytes.", b.Fields, b.Groups, 0)
	if len(b.Fields)+len(b.Groups) == 0 && c.config.Cases == nil {
		c.refuse("bytes", "fields: there are none")
	}
}

// branches compiles the cases, and then the points of all, so that those of the
// mapping see what every case has in common: the mapping's own fields.
func (c *compiler) branches(m *Mapping, depth int) {
	m.points = c.points("points", c.config.Points, depth)
	cases := c.config.Cases
	if cases == nil {
		if len(m.points) == 0 {
			c.refuse("points", "there are none: a report is made of points")
		}
		return
	}
	decided := depth
	if m.each != nil && m.each.From == tree.InFields {
		decided = 0 // the case decides which bytes there are, and the elements are of the bytes
	}
	m.by, m.cases = c.required("cases.by", cases.By, decided), map[string]branch{}
	if len(cases.Of) == 0 {
		c.refuse("cases.of", "there is none")
	}
	for _, value := range slices.Sorted(maps.Keys(cases.Of)) {
		one, key := cases.Of[value], "cases.of."+value+"."
		if !m.bytes && len(one.Fields)+len(one.Groups) > 0 {
			c.refuse(key+"fields", "only a payload of bytes has fields")
		}
		members, groups := maps.Clone(c.members), maps.Clone(c.groups)
		made := branch{}
		made.layout, _ = c.layout(key, one.Fields, one.Groups, c.end)
		made.points = c.points(key+"points", one.Points, depth)
		c.members, c.groups = members, groups
		m.cases[value] = made
	}
}

// report compiles what there is once in a report.
func (c *compiler) report(m *Mapping, depth int) {
	m.controller = c.required("controller", c.config.Controller, depth)
	m.clock = c.clock("time", c.config.Time, depth)
	m.historical = c.template("historical", c.config.Historical, depth)
	c.identity(m, depth)
	for _, name := range slices.Sorted(maps.Keys(c.config.Signals)) {
		q := evidence.Quantity(name)
		if q.Unit() == "" {
			c.refuse("signals."+name, "%s", unknownName("quantity", name,
				[]string{string(evidence.RSSI), string(evidence.SNR), string(evidence.Attenuation), string(evidence.OpticalPower)}))
		}
		t := c.parse("signals."+name, c.config.Signals[name], depth)
		if t.Single() == nil {
			c.refuse("signals."+name, "is one path, such as {rxInfo[*].rssi}")
		}
		m.signals = append(m.signals, signalPath{q, t})
	}
}

// identity compiles the one form of identity that there must be.
func (c *compiler) identity(m *Mapping, depth int) {
	forms := 0
	if s := c.config.Sequence; s != nil {
		forms++
		m.epoch = c.required("sequence.epoch", s.Epoch, depth)
		m.seq = c.required("sequence.seq", s.Seq, depth)
		if s.First != 0 && s.First != 1 {
			c.refuse("sequence.first", "%d: a controller counts from 0 or from 1", s.First)
		}
		m.first = uint64(s.First)
		c.distinct("sequence.seq", &m.seq, depth)
	}
	if c.config.Key != "" {
		forms++
		m.key = c.required("key", c.config.Key, depth)
		c.distinct("key", &m.key, depth)
	}
	if c.config.Natural {
		forms++
	}
	if forms != 1 {
		c.refuse("controller", "a mapping needs exactly one of sequence, key and natural: true, which say how a resend is told from a new report; this one has %d", forms)
	}
}

// distinct refuses an identity that every element of the list would share.
func (c *compiler) distinct(key string, t *tree.Template, depth int) {
	if depth == 0 {
		return
	}
	for _, p := range t.Parts {
		if p.Path != nil && p.Path.From == tree.InElement {
			return
		}
	}
	c.refuse(key, "all elements of %s would have it: use something of the element, such as {.seq}", c.config.Each)
}
