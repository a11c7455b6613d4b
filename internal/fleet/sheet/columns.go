package sheet

import (
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/fleet/place"
	"github.com/penstock/penstock/internal/fleet/point"
)

// columns are all there are, in the order in which they are written.
//
//lint:table
func columns() []string {
	return []string{
		point.ColumnController, point.ColumnState, point.ColumnPoint, point.ColumnType,
		point.ColumnUnit, point.ColumnMin, point.ColumnMax, point.ColumnSignal,
		place.ColumnSite, place.ColumnLine,
	}
}

// A spreadsheet takes a cell that begins with one of formulas for a formula, and
// runs it. Names come from senders, so that a row could act on whoever opens the
// file; and names may begin so. Such a text gets a quote before it, which the
// spreadsheet shows, and which is taken away again when the file is read. What
// stands behind a semicolon is guarded too: where that separates the columns, it
// is a cell of its own.
const (
	formulas = "=+-@＝＋－＠"
	quote    = "'"
)

// guard makes a text harmless for a spreadsheet.
func guard(text string) string {
	return parts(text, func(part string) string {
		if isGuarded(part) {
			return quote + part
		}
		return part
	})
}

// unguard returns the text that was guarded.
func unguard(text string) string {
	return parts(text, func(part string) string {
		if rest, ok := strings.CutPrefix(part, quote); ok && isGuarded(rest) {
			return rest
		}
		return part
	})
}

// isGuarded tells whether a quote belongs before the part: it begins like a
// formula, or reads like a part that was guarded.
func isGuarded(part string) bool {
	first, size := utf8.DecodeRuneInString(strings.TrimLeft(part, quote))
	return size > 0 && strings.ContainsRune(formulas, first)
}

func parts(text string, each func(string) string) string {
	if !strings.Contains(text, ";") {
		return each(text)
	}
	all := strings.Split(text, ";")
	for i := range all {
		all[i] = each(all[i])
	}
	return strings.Join(all, ";")
}
