//go:build race

package pipeline

import "github.com/penstock/penstock"

// spoil makes what nobody may use any more into what nobody can take for a report,
// so that a test finds whoever still does: by what it says, or because the race
// detector sees this write.
func spoil(r *penstock.Report) {
	room := r.Samples[:cap(r.Samples)]
	for i := range room {
		room[i] = penstock.Sample{Point: "used after it was given back", Value: penstock.TextValue("no value"), Status: ^penstock.Good}
	}
	*r = penstock.Report{Controller: "used after it was given back", Identity: penstock.KeyIdentity("no key"), Samples: room[:0]}
}
