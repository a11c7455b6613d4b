package mongo

import (
	"context"
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/command"
)

// learnUnits reads the units of the points that the reports name with one, unless they
// are known.
func (w *work) learnUnits(ctx context.Context, rs []*penstock.Report) error {
	if len(w.state.units) > maxCached {
		clear(w.state.units)
	}
	var ids []string
	for _, r := range rs {
		for i := range r.Samples {
			if s := &r.Samples[i]; s.Unit != "" {
				if id := pointID(r, s); w.state.units[id] == "" {
					ids = append(ids, id)
				}
			}
		}
	}
	slices.Sort(ids)
	return command.Each(ctx, w.points, command.Query[string]{Field: "_id", Values: slices.Compact(ids)}, func(p *point) { w.state.units[p.ID] = p.Unit })
}

// point is the document of a point that was named with a unit.
type point struct {
	ID         string `bson:"_id"` // controller and point
	Controller string `bson:"controller"`
	Point      string `bson:"point"`
	Unit       string `bson:"unit"`
}

func pointID(r *penstock.Report, s *penstock.Sample) string { return r.Controller + "/" + s.Point }

// saveUnits keeps the units that the batch names first, and tells whether other nodes
// named others meanwhile.
func (w *work) saveUnits(ctx context.Context) (again bool, err error) {
	if len(w.units) == 0 {
		return false, nil
	}
	list := make([]any, 0, len(w.units))
	ids := make([]string, 0, len(w.units))
	for id, unit := range w.units {
		controller, name, _ := strings.Cut(id, "/") // no name of a controller has one
		list, ids = append(list, point{ID: id, Controller: controller, Point: name, Unit: unit}), append(ids, id)
	}
	taken, err := command.Insert(ctx, w.points, list)
	if err != nil {
		return false, err
	}
	for id, unit := range w.units {
		w.state.units[id] = unit
	}
	var theirs []string
	for _, one := range taken {
		if one.Code != command.DuplicateKey {
			return false, one
		}
		theirs = append(theirs, ids[one.Index])
	}
	err = command.Each(ctx, w.points, command.Query[string]{Field: "_id", Values: theirs}, func(p *point) {
		again = again || p.Unit != w.units[p.ID]
		w.state.units[p.ID] = p.Unit
	})
	return again, err
}
