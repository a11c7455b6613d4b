package mapping

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/tree"
	"github.com/penstock/penstock/internal/suggest"
)

// scope is what the paths of one report can reach.
type scope struct {
	envelope *penstock.Envelope
	tree     any            // the payload where it is JSON
	fields   map[string]any // those of bytes or text
	elements []any          // of the lists that are gone through, the innermost last
	length   int            // bytes of the payload that has the fields
}

// facts are what an envelope tells, with what stands behind the name.
var facts = []string{"topic", "peer", "source", "user", "key", "length", "property"}

// start returns where a path into the payload begins.
func (s *scope) start(p *tree.Path) any {
	switch p.From {
	case tree.InFields:
		return s.fields
	case tree.InElement:
		return s.elements[len(s.elements)-1-p.Up]
	case tree.InPayload, tree.InEnvelope:
	}
	return s.tree
}

// fact returns what the envelope tells, and false when that is nothing.
func (s *scope) fact(p *tree.Path) (penstock.Value, bool) {
	e, text := s.envelope, ""
	switch p.Fact {
	case "topic":
		text = level(e.Topic, p)
	case "property":
		text = e.Properties[p.Steps[0].Name]
	case "peer":
		text = e.Peer
		if host, _, err := net.SplitHostPort(e.Peer); err == nil {
			text = host
		}
	case "source":
		text = e.Source
	case "user":
		text = e.Credential.User
	case "key":
		text = e.Key
	case "length":
		return penstock.UintValue(uint64(s.length)), true
	}
	return penstock.TextValue(text), text != ""
}

// level returns the level of a topic that a path asks for, or all of it.
func level(topic string, p *tree.Path) string {
	if len(p.Steps) == 0 {
		return topic
	}
	levels := strings.Split(topic, "/")
	n, err := strconv.Atoi(p.Steps[0].Name) // it was checked: counted from 1
	if err != nil || n > len(levels) {
		return ""
	}
	return levels[n-1]
}

// find returns the one value that the path leads to.
func (s *scope) find(p *tree.Path) (found any, ok bool) {
	if p.From == tree.InEnvelope {
		return s.fact(p)
	}
	tree.Walk(s.start(p), p.Steps, func(v any) bool {
		found, ok = v, true
		return false
	})
	return found, ok
}

// every calls yield with each value that the path leads to.
func (s *scope) every(p *tree.Path, yield func(any)) {
	if p.From == tree.InEnvelope {
		if v, ok := s.fact(p); ok {
			yield(v)
		}
		return
	}
	tree.Walk(s.start(p), p.Steps, func(v any) bool {
		yield(v)
		return true
	})
}

// value returns what a template gives: false when the value is not there. Text
// with paths in it needs each of them.
func (s *scope) value(t *tree.Template) (any, bool, error) {
	if p := t.Single(); p != nil {
		v, ok := s.find(p)
		return v, ok, nil
	}
	text, err := s.text(t)
	return penstock.TextValue(text), err == nil, err
}

// text returns what a template gives as text. Every path in it must lead to a
// value.
func (s *scope) text(t *tree.Template) (string, error) {
	var b strings.Builder
	for i := range t.Parts {
		p := t.Parts[i].Path
		if p == nil {
			b.WriteString(t.Parts[i].Text)
			continue
		}
		found, ok := s.find(p)
		if !ok {
			return "", s.missing(p)
		}
		v, isValue := found.(penstock.Value)
		if !isValue || v.Kind() == penstock.None {
			return "", penstock.Errorf(penstock.Invalid, "{%s} is %s, and a text or a number is needed", p.Text, tree.Describe(found))
		}
		b.WriteString(plain(v))
	}
	return b.String(), nil
}

// plain returns a value as it stands in a name: numbers in all their digits.
func plain(v penstock.Value) string {
	if v.Kind() == penstock.Float64 {
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	return v.String()
}

// whole returns what a template gives as a number of 0 or more.
func (s *scope) whole(t *tree.Template) (uint64, error) {
	text, err := s.text(t)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, penstock.Errorf(penstock.Invalid, "%q is no whole number of 0 or more", tree.Shorten(text))
	}
	return n, nil
}

// missing says that a path leads nowhere, and what stands where it ends.
func (s *scope) missing(p *tree.Path) error {
	if p.From == tree.InEnvelope {
		return penstock.Errorf(penstock.Invalid, "{%s} is not known: what came had none", p.Text)
	}
	text := "{" + p.Text + "} is not in the payload"
	v := s.start(p)
	for i, step := range p.Steps {
		object, isObject := v.(map[string]any)
		next, found := object[step.Name]
		if !isObject || step.Index != tree.ByName {
			break
		}
		if !found {
			if near := suggest.Nearest(step.Name, slices.Sorted(maps.Keys(object))); near != "" {
				text += ": there is " + strconv.Quote(tree.Shorten(near)) + " instead of " + strconv.Quote(p.Steps[i].Name)
			}
			break
		}
		v = next
	}
	return penstock.Errorf(penstock.Invalid, "%s", text)
}
