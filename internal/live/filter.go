package live

import "github.com/penstock/penstock"

// Filter says which reports a subscription sees. Controller and Point are names
// in which '*' stands for any run of characters; empty means all. Scope is what
// the reader may see: the zero Scope covers nothing.
type Filter struct {
	Controller string
	Point      string
	Scope      penstock.Scope
}

// Matches tells whether the report is of a controller that the filter names and
// the scope covers, and has a sample of a point that the filter names.
func (f Filter) Matches(r *penstock.Report) bool {
	if !f.Scope.Covers(r.Controller) || !matches(f.Controller, r.Controller) {
		return false
	}
	for i := range r.Samples {
		if f.MatchesPoint(r.Samples[i].Point) {
			return true
		}
	}
	return false
}

// MatchesPoint tells whether the filter names the point.
func (f Filter) MatchesPoint(point string) bool { return matches(f.Point, point) }

func matches(pattern, name string) bool {
	return pattern == "" || penstock.Scope{pattern}.Covers(name)
}
