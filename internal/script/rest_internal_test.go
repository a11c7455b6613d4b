package script

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However its reports come, a controller burns no more than what is allowed at once,
// the last fault, and a hundredth of the time; and it never rests longer than bounded.
func TestDebts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const allowed = time.Second
		begun := time.Unix(1e9, 0)
		d, now := debts{allowed: allowed, of: map[string]debt{}}, begun
		var burnt, longest time.Duration
		for range rapid.IntRange(1, 200).Draw(t, "reports") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(30*time.Second)).Draw(t, "wait")))
			rest, _ := d.rest("pump-17", now)
			if rest > maxRest {
				t.Fatalf("a rest of %v", rest)
			}
			if rest > 0 {
				continue
			}
			took := time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(t, "took"))
			burnt, longest = burnt+took, max(longest, took)
			if added := d.add("pump-17", took, now); added > 0 {
				if after, _ := d.rest("pump-17", now.Add(added-share)); after == 0 {
					t.Fatalf("the rest of %v ends early", added)
				}
				if after, _ := d.rest("pump-17", now.Add(added+share)); after != 0 {
					t.Fatalf("the rest of %v does not end", added)
				}
			}
			if most := allowed + longest + now.Sub(begun)/share; burnt > most {
				t.Fatalf("%v are burnt after %v, and at most %v are allowed", burnt, now.Sub(begun), most)
			}
		}
	})
}

// Who has paid back is forgotten, and who holds a worker is not.
func TestDebtsAreForgotten(t *testing.T) {
	now := time.Unix(1e9, 0)
	d := debts{allowed: time.Second, of: map[string]debt{}}
	d.hold("stuck", now)
	for i := range 10 * manyDebts {
		now = now.Add(time.Minute)
		d.add(fmt.Sprint("pump-", i), 100*time.Millisecond, now)
	}
	if n := len(d.of); n > manyDebts {
		t.Errorf("%d are kept", n)
	}
	if _, held := d.rest("stuck", now); !held {
		t.Error("who holds a worker is forgotten")
	}
	d.free("stuck", time.Second, now)
	if rest, held := d.rest("stuck", now); held || rest != 0 {
		t.Errorf("%v %v", rest, held)
	}
}
