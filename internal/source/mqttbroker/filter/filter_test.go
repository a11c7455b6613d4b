package filter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/mqttbroker/filter"
)

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		text          string
		topic, filter bool
	}{
		{"a", true, true}, {"a/b/c", true, true}, {"/", true, true}, {"a//b", true, true}, {" ", true, true},
		{"", false, false}, {"+", false, true}, {"#", false, true}, {"a/+/b", false, true}, {"a/#", false, true},
		{"a/#/b", false, false}, {"a/b#", false, false}, {"a+/b", false, false}, {"##", false, false},
		{"$SYS/a", false, true}, {strings.Repeat("a", 1025), false, false}, {strings.Repeat("/", 32), false, false},
	} {
		if err := filter.CheckTopic(c.text); (err == nil) != c.topic || err != nil && penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("topic %.20q: %v", c.text, err)
		}
		if err := filter.Check(c.text); (err == nil) != c.filter || err != nil && penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("filter %.20q: %v", c.text, err)
		}
	}
}

// The examples of the specification, section 4.7.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/tennis/player1/#", "sport/tennis/player2", false},
		{"sport/#", "sport", true}, {"#", "a/b", true}, {"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false}, {"sport/+", "sport/", true}, {"+/+", "/finance", true}, {"/+", "/finance", true}, {"+", "/finance", false},
		{"#", "$SYS/a", false}, {"+/a", "$SYS/a", false}, {"$SYS/#", "$SYS/a", true}, {"$SYS/+", "$SYS/a", true},
		{"a", "a/b", false}, {"a/b", "a", false},
	} {
		if got := filter.Match(c.filter, c.topic); got != c.want {
			t.Errorf("%s against %s: %v", c.filter, c.topic, got)
		}
	}
}

// The tree finds what a look at every filter finds.
func TestTreeAgainstALoop(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "", "$x"})
	wild := rapid.SampledFrom([]string{"a", "b", "", "+", "$x"})
	rapid.Check(t, func(t *rapid.T) {
		var tree filter.Tree[int, int]
		model := map[string]int{} // "filter key" to value
		for i := range rapid.IntRange(0, 40).Draw(t, "steps") {
			levels := rapid.SliceOfN(wild, 1, 4).Draw(t, "levels")
			if rapid.Bool().Draw(t, "open") {
				levels = append(levels, "#")
			}
			name, key := strings.Join(levels, "/"), rapid.IntRange(0, 2).Draw(t, "key")
			at := fmt.Sprint(name, " ", key)
			_, known := model[at]
			if rapid.IntRange(0, 2).Draw(t, "action") == 0 {
				if tree.Delete(name, key) != known {
					t.Fatalf("deleting %s", at)
				}
				delete(model, at)
			} else {
				if tree.Put(name, key, i) == known {
					t.Fatalf("adding %s", at)
				}
				model[at] = i
			}
		}
		if tree.Len() != len(model) {
			t.Fatalf("%d values, not %d", tree.Len(), len(model))
		}
		topic := strings.Join(rapid.SliceOfN(word, 1, 5).Draw(t, "topic"), "/")
		var got, want []string
		tree.Match(topic, func(k, v int) { got = append(got, fmt.Sprint(k, " ", v)) })
		for at, v := range model {
			name, key, _ := strings.Cut(at, " ")
			if filter.Match(name, topic) {
				want = append(want, fmt.Sprint(key, " ", v))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %q, not %q", topic, got, want)
		}
	})
}

// A tree that was emptied holds nothing.
func TestTreeForgets(t *testing.T) {
	var tree filter.Tree[int, int]
	for i := range 1000 {
		name := fmt.Sprintf("a/%d/+/#", i)
		tree.Put(name, 1, i)
		if !tree.Delete(name, 1) || tree.Delete(name, 1) {
			t.Fatal(name)
		}
	}
	n := 0
	tree.Match("a/5/x/y", func(int, int) { n++ })
	if n != 0 || tree.Len() != 0 {
		t.Errorf("%d values are left", n)
	}
}

// Wildcards of many levels do not make a match long: no step is done twice.
func TestWildcardStorm(t *testing.T) {
	var tree filter.Tree[int, int]
	for i := range 1 << 12 {
		var levels []string
		for bit := range 12 {
			levels = append(levels, []string{"+", "a"}[i>>bit&1])
		}
		tree.Put(strings.Join(levels, "/"), 0, i)
	}
	n := 0
	tree.Match(strings.TrimSuffix(strings.Repeat("a/", 12), "/"), func(int, int) { n++ })
	if n != 1<<12 {
		t.Errorf("%d of %d matched", n, 1<<12)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a/+/#", "a/b/c")
	f.Add("$SYS/#", "$SYS/x")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		if filter.Check(pattern) != nil || filter.CheckTopic(topic) != nil {
			return
		}
		var tree filter.Tree[int, int]
		tree.Put(pattern, 1, 1)
		found := false
		tree.Match(topic, func(int, int) { found = true })
		if found != filter.Match(pattern, topic) {
			t.Fatalf("%q against %q: the tree says %v", pattern, topic, found)
		}
	})
}
