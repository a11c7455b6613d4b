package filter

import "strings"

// Tree holds values under filters and finds those whose filters match a name. K
// tells the values of one filter apart. The zero Tree is empty. It is not safe
// for concurrent use while it is changed.
type Tree[K comparable, V any] struct {
	root node[K, V]
	size int
}

type node[K comparable, V any] struct {
	children map[string]*node[K, V]
	values   map[K]V
}

// Len returns the number of values.
func (t *Tree[K, V]) Len() int { return t.size }

// Put sets the value of a key under a filter, and tells whether it is new there.
func (t *Tree[K, V]) Put(filter string, key K, value V) (added bool) {
	n := &t.root
	for level := range strings.SplitSeq(filter, "/") {
		child := n.children[level]
		if child == nil {
			child = &node[K, V]{}
			if n.children == nil {
				n.children = map[string]*node[K, V]{}
			}
			n.children[level] = child
		}
		n = child
	}
	if n.values == nil {
		n.values = map[K]V{}
	}
	if _, known := n.values[key]; !known {
		t.size++
		added = true
	}
	n.values[key] = value
	return added
}

// Delete removes the value of a key under a filter, and tells whether it was
// there.
func (t *Tree[K, V]) Delete(filter string, key K) bool {
	if !t.root.remove(filter, key) {
		return false
	}
	t.size--
	return true
}

// remove removes the value and the nodes that nothing needs any more.
func (n *node[K, V]) remove(filter string, key K) bool {
	level, rest, more := strings.Cut(filter, "/")
	child := n.children[level]
	if child == nil {
		return false
	}
	if more {
		if !child.remove(rest, key) {
			return false
		}
	} else {
		if _, known := child.values[key]; !known {
			return false
		}
		delete(child.values, key)
	}
	if len(child.values) == 0 && len(child.children) == 0 {
		delete(n.children, level)
	}
	return true
}

// Match calls visit for every value whose filter matches the name.
func (t *Tree[K, V]) Match(name string, visit func(K, V)) {
	t.root.match(name, strings.HasPrefix(name, "$"), visit)
}

// match visits what matches the rest of a name; reserved says that wildcards do
// not match its first level. It does at most as many steps as there are nodes.
func (n *node[K, V]) match(name string, reserved bool, visit func(K, V)) {
	level, rest, more := strings.Cut(name, "/")
	if !reserved {
		n.children["#"].each(visit)
		n.children["+"].step(rest, more, visit)
	}
	if level != "+" && level != "#" {
		n.children[level].step(rest, more, visit)
	}
}

func (n *node[K, V]) step(rest string, more bool, visit func(K, V)) {
	switch {
	case n == nil:
	case more:
		n.match(rest, false, visit)
	default:
		n.each(visit)
		n.children["#"].each(visit) // a/# matches a too
	}
}

func (n *node[K, V]) each(visit func(K, V)) {
	if n == nil {
		return
	}
	for k, v := range n.values {
		visit(k, v)
	}
}
