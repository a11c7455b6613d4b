package config

import "strings"

// suggest returns the name that was most likely meant, or "".
func suggest(got string, names []string) string {
	best, bestDistance := "", len(got)
	for _, name := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(name)); d < bestDistance && d <= tolerance(got) {
			best, bestDistance = name, d
		}
	}
	return best
}

func near(a, b string) bool {
	return distance(strings.ToLower(a), strings.ToLower(b)) <= tolerance(a)
}

func tolerance(s string) int { return max(1, len(s)/3) }

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between two names (optimal string alignment). Names longer than
// any key are not compared.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
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
