// Package suggest guesses which of the known names a mistyped one was meant to
// be, for the "did you mean" of error messages.
package suggest

import "strings"

// longest is the most bytes of a name that is compared: no name that is known
// here has more.
const longest = 64

// Nearest returns the known name that got was most likely meant to be, and the
// empty string when none is near: one that differs in case, in up to a third of
// its letters, or that got begins or cuts short. The first of equals counts.
func Nearest(got string, known []string) string {
	best, fewest := "", len(got)
	for _, name := range known {
		if d := distance(got, name); d < fewest && d <= tolerance(got) {
			best, fewest = name, d
		}
	}
	return best
}

// Near tells whether got may have been meant to be name.
func Near(got, name string) bool { return Nearest(got, []string{name}) != "" || got == name }

func tolerance(got string) int { return max(1, len(got)/3) }

// distance counts the letters to insert, delete, replace, or swap with their
// neighbour, to get b from a (optimal string alignment), whatever their case. A
// name that the other one begins with is one step away.
func distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return longest
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	if strings.HasPrefix(a, b) || len(a) > 2 && strings.HasPrefix(b, a) {
		return min(1, max(len(a), len(b))-min(len(a), len(b)))
	}
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
