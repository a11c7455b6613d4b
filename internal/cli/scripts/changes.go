package scripts

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock"
)

// key tells a sample apart from the others of its report.
type key struct {
	point string
	time  int64
}

// changes says how many samples a script changed, added and dropped, with a line
// for each of them.
func changes(before, after []penstock.Sample) (what string, lines []string) {
	left := map[key][]penstock.Sample{}
	for _, s := range before {
		k := key{s.Point, s.SourceTime}
		left[k] = append(left[k], s)
	}
	changed, added, dropped := 0, 0, 0
	for _, s := range after {
		k := key{s.Point, s.SourceTime}
		if len(left[k]) == 0 {
			added++
			lines = append(lines, "+ "+describe(&s))
			continue
		}
		was := left[k][0]
		left[k] = left[k][1:]
		if was != s {
			changed++
			lines = append(lines, fmt.Sprintf("~ %s → %s", describe(&was), strings.TrimPrefix(describe(&s), s.Point+" ")))
		}
	}
	for _, s := range before {
		k := key{s.Point, s.SourceTime}
		if len(left[k]) > 0 {
			dropped++
			lines = append(lines, "- "+describe(&left[k][0]))
			left[k] = left[k][1:]
		}
	}
	return fmt.Sprintf("%d changed, %d added, %d dropped of %d", changed, added, dropped, len(before)), lines
}

// describe shows a sample: its point, value, type, unit, and status when it is not
// good.
func describe(s *penstock.Sample) string {
	text := s.Point + " " + s.Value.String()
	if k := s.Value.Kind(); k != penstock.Float64 && k != penstock.None {
		text += " (" + k.String() + ")"
	}
	if s.Unit != "" {
		text += " " + s.Unit
	}
	if s.Status != penstock.Good {
		text += " " + s.Status.String()
	}
	return text
}
