package clone_test

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/lint/clone"
)

const original = `
	total := 0
	for _, item := range items { // of the order
		if item.Valid && item.Size > limit {
			return 0, errors.New("too large: " + item.Name)
		}
		total += item.Size * item.Count
		log(item.Name, item.Size, item.Count, total)
	}
	return total, nil
`

const handling = `
	a, err := first(x)
	if err != nil {
		return nil, err
	}
	b, err := second(a)
	if err != nil {
		return nil, err
	}
	return b, nil
`

func function(name, text string, replacements ...string) clone.Function {
	return clone.Function{Name: name, File: name + ".go", Line: 10, Body: []byte(strings.NewReplacer(replacements...).Replace(text))}
}

func TestFind(t *testing.T) {
	first := function("first", original)
	for name, c := range map[string]struct {
		other         clone.Function
		pairs, cloned int
	}{
		"the same":                {function("other", original), 1, 14},
		"other names":             {function("other", original, "item", "entry", "total", "sum"), 1, 14},
		"other literals":          {function("other", original, "too large", "too big", "0", "7"), 1, 14},
		"other comments, spacing": {function("other", original, "// of the order", "", "\t", " "), 1, 14},
		"two names become one":    {function("other", original, "total", "item"), 0, 0},
		"other operator":          {function("other", original, "&&", "||", "+=", "-=", "*", "/"), 0, 0},
		"idioms":                  {function("other", handling), 0, 0},
		"empty":                   {function("other", ""), 0, 0},
	} {
		result := clone.Find([]clone.Function{function("idiom", handling), first, c.other})
		if len(result.Pairs) != c.pairs || result.Cloned != c.cloned {
			t.Errorf("%s: %d pairs of %d lines, want %d of %d", name, len(result.Pairs), result.Cloned, c.pairs, c.cloned)
			continue
		}
		if c.pairs == 0 {
			continue
		}
		if p := result.Pairs[0]; p.Copy.Function.Name != "other" || p.Copy.Line != 12 || p.Original.Function.Name != "first" || p.Original.Line != 12 || p.Lines != 7 {
			t.Errorf("%s: %d lines of %s:%d from %s:%d", name, p.Lines, p.Copy.Function.Name, p.Copy.Line, p.Original.Function.Name, p.Original.Line)
		}
	}
}

// TestFindWithin finds a copy inside one function, and does not take a run that
// repeats itself line by line for one.
func TestFindWithin(t *testing.T) {
	twice := clone.Find([]clone.Function{function("f", original+"\n"+original)})
	if len(twice.Pairs) != 1 || twice.Total != 18 {
		t.Errorf("%d pairs in %d lines, want 1 in 18", len(twice.Pairs), twice.Total)
	}
	list := clone.Find([]clone.Function{function("f", strings.Repeat("\tput(a, b.c, d.e, f.g, 1, 2)\n", 8))})
	if len(list.Pairs) != 0 {
		t.Errorf("%d pairs in a list of 8 lines, want 0", len(list.Pairs))
	}
}
