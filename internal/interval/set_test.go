package interval_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/interval"
)

// TestSetAgainstMap holds the set against a map of the numbers.
func TestSetAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set interval.Set
		model := map[uint64]bool{}
		number := rapid.Uint64Range(1, 60)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				first := number.Draw(t, "first")
				last := first + rapid.Uint64Range(0, 5).Draw(t, "length")
				var want uint64
				for n := first; n <= last; n++ {
					if !model[n] {
						want++
					}
					model[n] = true
				}
				if got := set.Add(first, last); got != want {
					t.Fatalf("Add(%d, %d) = %d, want %d", first, last, got, want)
				}
			},
			"remove": func(t *rapid.T) {
				first := number.Draw(t, "first")
				last := first + rapid.Uint64Range(0, 5).Draw(t, "length")
				var want uint64
				for n := first; n <= last; n++ {
					if model[n] {
						want++
					}
					delete(model, n)
				}
				if got := set.Remove(first, last); got != want {
					t.Fatalf("Remove(%d, %d) = %d, want %d", first, last, got, want)
				}
			},
			"": func(t *rapid.T) { check(t, &set, model) },
		})
	})
}

func check(t *rapid.T, set *interval.Set, model map[uint64]bool) {
	through, spans := uint64(0), 0
	for n := uint64(1); n <= 70; n++ {
		if set.Contains(n) != model[n] {
			t.Fatalf("Contains(%d) = %t", n, set.Contains(n))
		}
		if model[n] && through == n-1 {
			through = n
		}
		if model[n] && !model[n-1] {
			spans++
		}
	}
	if set.Through(1) != through {
		t.Fatalf("Through(1) = %d, want %d", set.Through(1), through)
	}
	if set.Spans() != spans || set.Count() != uint64(len(model)) {
		t.Fatalf("%d spans of %d numbers, want %d of %d", set.Spans(), set.Count(), spans, len(model))
	}
	decoded, rest, err := interval.Decode(append(set.AppendBinary(nil), 0xAA))
	if err != nil || len(rest) != 1 || !decoded.Equal(set) {
		t.Fatalf("decoded %v, rest %d, %v", decoded, len(rest), err)
	}
}

func FuzzDecode(f *testing.F) {
	var set interval.Set
	set.Add(1, 4)
	set.Add(9, 9)
	f.Add(set.AppendBinary(nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		set, rest, err := interval.Decode(b)
		if err != nil {
			return
		}
		again, _, err := interval.Decode(append(set.AppendBinary(nil), rest...))
		if err != nil || !again.Equal(&set) {
			t.Fatalf("not the same after a round trip: %v, %v, %v", set, again, err)
		}
	})
}
