package mapping

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/decimal"
	"github.com/penstock/penstock/internal/mapping/tree"
)

// point is a compiled [Point].
type point struct {
	each     *tree.Path
	name     tree.Template
	value    tree.Template
	kind     penstock.Kind // None: as the payload has it
	linear   *decimal.Linear
	unit     tree.Template
	quality  *quality
	clock    *clock
	invalid  []string
	optional bool
}

// points compiles a list of points.
func (c *compiler) points(key string, list []Point, depth int) []point {
	made := make([]point, len(list))
	for i := range list {
		made[i] = c.point(index(key, i), &list[i], depth)
	}
	return made
}

func (c *compiler) point(key string, p *Point, depth int) point {
	made := point{invalid: p.Invalid, optional: p.Optional}
	outer := c.element
	if p.Each != "" {
		made.each = c.list(key+".each", p.Each, depth)
		depth++
	}
	made.name = c.required(key+".point", p.Point, depth)
	value := p.Value
	if value == "" {
		value = "{" + p.Point + "}"
		if p.Each != "" {
			value = "{." + p.Point + "}"
		}
		if len(made.name.Parts) != 1 || made.name.Single() != nil {
			c.refuse(key+".value", "is missing: the name of the point does not say where it stands")
			value = ""
		}
	}
	made.value = c.template(key+".value", value, depth)
	made.unit = c.template(key+".unit", p.Unit, depth)
	made.quality = c.quality(key+".status", p.Status, depth)
	made.clock = c.clock(key+".time", p.Time, depth)
	if p.Type != "" {
		kind, ok := penstock.ParseKind(p.Type)
		if !ok || kind == penstock.None {
			c.refuse(key+".type", "%s", unknownName("type", p.Type, []string{"float64", "int64", "uint64", "bool", "text"}))
		}
		made.kind = kind
	}
	var fits bool
	if made.linear, fits = decimal.NewLinear(p.Scale, p.Offset); !fits {
		c.refuse(key+".scale", "scale and offset together have too many digits")
	}
	if made.linear != nil && made.kind != penstock.None && made.kind != penstock.Float64 {
		c.refuse(key+".type", "what has a scale or an offset is a float64")
	}
	c.element = outer
	return made
}
