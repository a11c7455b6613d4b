package mapping

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/mapping/tree"
	"github.com/penstock/penstock/internal/suggest"
)

// required compiles a template that must not be empty.
func (c *compiler) required(key, source string, depth int) tree.Template {
	if source == "" {
		c.refuse(key, "is missing")
	}
	return c.template(key, source, depth)
}

// template compiles a template whose paths lead to one value each. Depth is how
// many lists are gone through here.
func (c *compiler) template(key, source string, depth int) tree.Template {
	t := c.parse(key, source, depth)
	for _, p := range t.Parts {
		if p.Path != nil && p.Path.Many() {
			c.refuse(key, "{%s} leads to any number of values: write each, or an index such as [0]", p.Path.Text)
		}
	}
	return t
}

func (c *compiler) parse(key, source string, depth int) tree.Template {
	t, err := tree.ParseTemplate(source)
	c.check(key, err)
	for i := range t.Parts {
		if p := t.Parts[i].Path; p != nil {
			c.resolve(key, p, depth)
		}
	}
	return t
}

// list compiles the path of a list that is gone through.
func (c *compiler) list(key, source string, depth int) *tree.Path {
	p, err := tree.ParsePath(strings.TrimSuffix(strings.Trim(source, "{} "), "[*]"))
	c.check(key, err)
	if err == nil {
		c.resolve(key, &p, depth)
		c.element = nil
		if p.From == tree.InFields {
			c.element = c.groups[p.Steps[0].Name]
			if c.element == nil {
				c.refuse(key, "%s is a field, not a group", p.Steps[0].Name)
			}
		}
		if p.Many() {
			c.refuse(key, "goes through one list: a [*] may only be at its end")
		}
	}
	return &p
}

// resolve finds out where a path begins, and refuses one that leads nowhere.
func (c *compiler) resolve(key string, p *tree.Path, depth int) {
	switch p.From {
	case tree.InElement:
		if p.Up >= depth {
			c.refuse(key, "{%s} is of an element, and so many lists are not gone through here: see each", p.Text)
		}
		if p.Up == 0 && c.element != nil && len(p.Steps) > 0 {
			c.known(key, p, c.element)
		}
	case tree.InEnvelope:
		c.fact(key, p)
	case tree.InPayload:
		if len(p.Steps) == 0 {
			return
		}
		_, declared := c.members[p.Steps[0].Name]
		if declared {
			p.From = tree.InFields
			return
		}
		if c.config.Text != nil || c.config.Bytes != nil && c.config.Bytes.In == "" {
			c.known(key, p, c.members)
		}
	case tree.InFields:
	}
}

// fact refuses what no envelope tells.
func (c *compiler) fact(key string, p *tree.Path) {
	if !slices.Contains(facts, p.Fact) {
		c.refuse(key, "{$%s}: %s", p.Fact, unknownName("fact of what came", p.Fact, facts))
	}
	switch steps := len(p.Steps); {
	case p.Fact == "property" && steps == 1, p.Fact == "topic" && steps == 0, steps == 0 && p.Fact != "property":
	case p.Fact == "topic" && steps == 1:
		if n, err := strconv.Atoi(p.Steps[0].Name); err != nil || n < 1 {
			c.refuse(key, "{%s}: the levels of a topic are counted from 1", p.Text)
		}
	default:
		c.refuse(key, "{%s}: is written {$property.NAME}, {$topic.1}, and all others without a point", p.Text)
	}
}

// known refuses a path whose first name is not among those declared.
func (c *compiler) known(key string, p *tree.Path, declared map[string]string) {
	name := p.Steps[0].Name
	if _, ok := declared[name]; ok {
		return
	}
	names := slices.Sorted(maps.Keys(declared))
	if near := suggest.Nearest(name, names); near != "" {
		c.refuse(key, "there is no field %.40q; did you mean %s?", name, near)
		return
	}
	c.refuse(key, "there is no field %.40q: the fields are %s", name, cmp.Or(strings.Join(names, ", "), "none"))
}
