package multirange_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink/postgres/multirange"
)

func TestFormatAndParseAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set interval.Set
		for range rapid.IntRange(0, 20).Draw(t, "spans") {
			first := rapid.Uint64Range(0, penstock.MaxSequence).Draw(t, "first")
			set.Add(first, first+rapid.Uint64Range(0, 9).Draw(t, "length"))
		}
		got, err := multirange.Parse(multirange.Format(&set))
		if err != nil || !got.Equal(&set) {
			t.Fatalf("%s came back as %s, %v", multirange.Format(&set), multirange.Format(&got), err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "{", "}", "{[1,2)", "[1,2)", "{[1,2]}", "{(1,2)}", "{[2,2)}", "{[3,2)}", "{[1,)}", "{[,2)}", "{[-1,2)}", "{[1,2),}",
		"{[5,7),[1,2)}", "{[1,3),[3,4)}", "{[1,2)[4,5)}", "{[01,2)}", "{[1,9223372036854775808)}", "{[1,2),[4,5}", "{[a,b)}",
	} {
		if _, err := multirange.Parse(text); penstock.CodeOf(err) != penstock.Corrupt {
			t.Errorf("%q: %v, want an error of code corrupt", text, err)
		}
	}
}

// FuzzParse sees that what is read is written in the same way.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"{}", "{[1,8)}", "{[1,8),[9,10)}", "{[0,9223372036854775807)}", "{[1,2]}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := multirange.Parse(text)
		if err != nil {
			return
		}
		if again := multirange.Format(&set); again != text {
			t.Fatalf("%q was read as %q", text, again)
		}
	})
}
