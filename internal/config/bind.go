package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/penstock/penstock/internal/suggest"
)

// binder writes the nodes of one source after the other into a struct. It goes
// on after a problem, so that all of them are found.
type binder struct {
	root     reflect.Type
	source   *source          // that is being bound
	places   map[string]place // of every key that was given
	problems []Problem
}

// bind writes the node into dst, which is settable.
func (b *binder) bind(dst reflect.Value, node ast.Node, key string) {
	where := b.placeOf(tokenOf(node))
	if text := refused(node); text != "" {
		b.refuse(where, key, text)
		return
	}
	kind, behind := formOf(dst.Type())
	where.section = kind == structForm || kind == mapForm
	if !where.section || b.source.lines != nil {
		b.places[key] = where
	}
	if _, null := node.(*ast.NullNode); null && kind != ownForm {
		b.bindNull(dst, where, key)
		return
	}
	for dst.Kind() == reflect.Pointer {
		if dst.IsNil() {
			dst.Set(newElement(behind).Addr())
		}
		dst = dst.Elem()
	}
	switch kind {
	case structForm:
		b.bindStruct(dst, node, key)
	case mapForm:
		b.bindMap(dst, node, key)
	case listForm:
		b.bindList(dst, node, key)
	case ownForm:
		b.bindOwn(dst, node, key)
	default:
		if text := setScalar(dst, node); text != "" {
			b.refuse(where, key, text)
		}
	}
}

// bindNull handles a key without a value: what may be absent is, and an empty
// section keeps its defaults.
func (b *binder) bindNull(dst reflect.Value, where place, key string) {
	switch kind, _ := formOf(dst.Type()); {
	case dst.Kind() == reflect.Pointer:
		dst.SetZero()
	case kind == scalarForm || kind == textForm:
		b.refuse(where, key, "has no value: give one, or remove the line")
	}
}

func (b *binder) bindStruct(dst reflect.Value, node ast.Node, key string) {
	for _, entry := range b.entries(node, key) {
		name, inner := keyText(entry.Key), join(key, keyText(entry.Key))
		f, found := fieldNamed(dst.Type(), name)
		if !found {
			b.unknown(dst.Type(), entry, key)
			continue
		}
		b.bind(dst.FieldByIndex(f.index), entry.Value, inner)
	}
}

func (b *binder) bindMap(dst reflect.Value, node ast.Node, key string) {
	if dst.Type().Key().Kind() != reflect.String {
		b.bindOwn(dst, node, key)
		return
	}
	entries := b.entries(node, key)
	if dst.IsNil() {
		dst.Set(reflect.MakeMapWithSize(dst.Type(), len(entries)))
	}
	for _, entry := range entries {
		name := reflect.ValueOf(keyText(entry.Key)).Convert(dst.Type().Key())
		element := newElement(dst.Type().Elem())
		if old := dst.MapIndex(name); old.IsValid() {
			element.Set(old)
		}
		b.bind(element, entry.Value, join(key, name.String()))
		dst.SetMapIndex(name, element)
	}
}

func (b *binder) bindList(dst reflect.Value, node ast.Node, key string) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		b.refuse(b.placeOf(tokenOf(node)), key, "needs a list, this is "+article(node))
		return
	}
	list := reflect.MakeSlice(dst.Type(), 0, len(sequence.Values))
	for i, value := range sequence.Values {
		element := newElement(dst.Type().Elem())
		b.bind(element, value, key+"["+strconv.Itoa(i)+"]")
		list = reflect.Append(list, element)
	}
	dst.Set(list)
}

// bindOwn lets a type decode itself, or the library decode what holds anything.
func (b *binder) bindOwn(dst reflect.Value, node ast.Node, key string) {
	err := yaml.NodeToValue(node, dst.Addr().Interface(), yaml.Strict())
	if err == nil {
		return
	}
	where, text := b.placeOf(tokenOf(node)), err.Error()
	var located yaml.Error
	if errors.As(err, &located) {
		text = located.GetMessage()
		if tk := located.GetToken(); tk != nil {
			where = b.placeOf(tk)
		}
	}
	b.refuse(where, key, text)
}

// entries returns the keys and values of a mapping. A key that stands twice is
// a problem.
func (b *binder) entries(node ast.Node, key string) []*ast.MappingValueNode {
	var all []*ast.MappingValueNode
	switch mapping := node.(type) {
	case *ast.MappingNode:
		all = mapping.Values
	case *ast.MappingValueNode:
		all = []*ast.MappingValueNode{mapping}
	default:
		b.refuse(b.placeOf(tokenOf(node)), key, "needs keys and values, this is "+article(node))
		return nil
	}
	first := make(map[string]*token.Token, len(all))
	var entries []*ast.MappingValueNode
	for _, entry := range all {
		name, tk := keyText(entry.Key), entry.Key.GetToken()
		if _, plain := entry.Key.(ast.ScalarNode); !plain || name == "<<" {
			b.refuse(b.placeOf(tk), key, "this form of key is not supported: write plain keys")
			continue
		}
		if before, twice := first[name]; twice {
			b.refuse(b.placeOf(tk), join(key, name), fmt.Sprintf("is given already in line %d: remove one of the two", before.Position.Line))
			continue
		}
		first[name] = tk
		entries = append(entries, entry)
	}
	return entries
}

// unknown notes a key that the struct does not have. Its value is not shown, as
// it may be a secret.
func (b *binder) unknown(t reflect.Type, entry *ast.MappingValueNode, key string) {
	name, text := keyText(entry.Key), "unknown key"
	if meant := suggest.Nearest(name, fieldNames(t)); meant != "" {
		text += "; did you mean " + meant + "?"
	} else if elsewhere := b.elsewhere(name); elsewhere != "" {
		text += "; did you mean " + elsewhere + "?"
	} else {
		text += "; known here: " + strings.Join(fieldNames(t), ", ")
	}
	b.source.secrets = append(b.source.secrets, name)
	b.refuse(b.placeOf(entry.Key.GetToken()), join(key, name), text)
}

// elsewhere returns the only key of that name in another section, or "".
func (b *binder) elsewhere(name string) string {
	found := ""
	for _, l := range leavesOf(b.root, "") {
		if strings.HasSuffix(l.key, "."+name) {
			if found != "" {
				return ""
			}
			found = l.key
		}
	}
	return found
}

func (b *binder) refuse(where place, key, text string) {
	b.problems = append(b.problems, where.problem(key, text))
}

func (b *binder) placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{source: b.source}
	}
	return place{source: b.source, line: tk.Position.Line, column: tk.Position.Column}
}

// newElement returns a settable value of the type, with its defaults.
func newElement(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := v.Interface().(interface{ SetDefaults() }); ok {
		d.SetDefaults()
	}
	return v.Elem()
}

// tokenOf returns where a node begins: a section at its first key, not at the
// colon behind it.
func tokenOf(node ast.Node) *token.Token {
	if mapping, ok := node.(*ast.MappingNode); ok && !mapping.IsFlowStyle && len(mapping.Values) > 0 {
		return mapping.Values[0].Key.GetToken()
	}
	return node.GetToken()
}

func keyText(key ast.MapKeyNode) string { return key.GetToken().Value }

func refused(node ast.Node) string {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		return "anchors and aliases are not supported: write the value where it is used"
	case *ast.TagNode:
		return "tags are not supported: write the value alone"
	}
	return ""
}

func article(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a section of keys"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "empty"
	}
	return "a text"
}
