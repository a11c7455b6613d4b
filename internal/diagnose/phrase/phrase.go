// Package phrase puts figures and names into the sentences of the diagnosis.
package phrase

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Ratio tells how many of how many: "3 of 60 frames (5.0 %)".
func Ratio(n, all uint32, what string) string {
	return fmt.Sprintf("%d of %d %s (%.1f %%)", n, all, what, 100*float64(n)/math.Max(1, float64(all)))
}

// Count tells how many, with the word for one or for many.
func Count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Named says what a name is of, unless that stands in the name: "the site north", and
// "site-02".
func Named(what, name string) string {
	if strings.HasPrefix(strings.ToLower(name), what) {
		return name
	}
	return "the " + what + " " + name
}

// Span returns seconds for people.
func Span(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < 10*time.Millisecond:
		return "a few milliseconds"
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
