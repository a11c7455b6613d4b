package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/postgres/judge"
)

// maxCatalogue bounds the points and epochs that are remembered between
// transactions; above it everything is forgotten and read again.
const maxCatalogue = 1 << 20

// catalogue remembers what the tables say of controllers and points. A point's
// number never changes; its unit may have been named by another node.
type catalogue struct {
	controllers map[string]*controller
	size        int
}

type controller struct {
	*judge.Controller
	// changes is how often the row of an epoch had changed when this node had
	// written it last. Another number says that other nodes settled something.
	changes map[uint64]int64
}

// meet notes that the controller of the name has the number. With another number than
// before it is another controller.
func (c *catalogue) meet(name string, id int32) {
	if known := c.controllers[name]; known != nil && known.ID == id {
		return
	}
	if c.controllers == nil {
		c.controllers = map[string]*controller{}
	}
	c.controllers[name] = &controller{&judge.Controller{ID: id, Points: map[string]*judge.Point{}}, map[uint64]int64{}}
}

// trim forgets everything when it is too much.
func (c *catalogue) trim() {
	if c.size > maxCatalogue {
		*c = catalogue{}
	}
}

// register learns the numbers of the controllers that are not known, and gives rows to
// those that have none, in a transaction of its own: rows that a transaction makes
// keep others waiting, in an order that nobody can foresee.
func (r *Record) register(ctx context.Context, names []string) error {
	unknown := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return r.state.catalogue.controllers[name] != nil })
	if len(unknown) == 0 {
		return nil
	}
	return r.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, r.schema.SQL(`INSERT INTO {s}.controllers (name)
			SELECT n FROM unnest($1::text[]) AS n WHERE NOT EXISTS (SELECT FROM {s}.controllers WHERE name = n)
			ORDER BY n COLLATE "C" ON CONFLICT DO NOTHING`), unknown)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, r.schema.SQL("SELECT name, id FROM {s}.controllers WHERE name = ANY($1)"), unknown)
		if err != nil {
			return err
		}
		var name string
		var id int32
		_, err = pgx.ForEachRow(rows, []any{&name, &id}, func() error {
			r.state.catalogue.meet(name, id)
			return nil
		})
		return err
	})
}

// loadPoints reads the points of the controllers anew.
func (w *work) loadPoints(ctx context.Context, held []*judge.Held) error {
	if len(held) == 0 {
		return nil
	}
	byID := map[int32]*judge.Controller{}
	ids := make([]int32, len(held))
	for i, h := range held {
		ids[i], byID[h.ID] = h.ID, h.Controller
	}
	rows, err := w.tx.Query(ctx, w.sql("SELECT controller, id, name, unit, kind FROM {s}.points WHERE controller = ANY($1)"), ids)
	if err != nil {
		return err
	}
	var owner, id int32
	var name, unit string
	var kind int16
	_, err = pgx.ForEachRow(rows, []any{&owner, &id, &name, &unit, &kind}, func() error {
		c := byID[owner]
		if known := c.Points[name]; known != nil {
			*known = judge.Point{ID: id, Unit: unit, Kind: penstock.Kind(kind)}
			return nil
		}
		c.Points[name] = &judge.Point{ID: id, Unit: unit, Kind: penstock.Kind(kind)}
		w.state.catalogue.size++
		return nil
	})
	return err
}

// savePoints gives new points their numbers, and writes changed ones.
func (w *work) savePoints(ctx context.Context) error {
	var fresh, changed []judge.NewPoint
	for _, p := range w.Points {
		if p.ID == 0 {
			fresh = append(fresh, p)
		} else {
			changed = append(changed, p)
		}
	}
	if err := w.insertPoints(ctx, fresh); err != nil || len(changed) == 0 {
		return err
	}
	ids, _, units, kinds := columns(changed)
	for i, p := range changed {
		ids[i] = p.ID
	}
	_, err := w.tx.Exec(ctx, w.sql(`UPDATE {s}.points p SET unit = n.unit, kind = n.kind
		FROM unnest($1::int[], $2::text[], $3::smallint[]) AS n(id, unit, kind) WHERE p.ID = n.id`), ids, units, kinds)
	return err
}

func (w *work) insertPoints(ctx context.Context, fresh []judge.NewPoint) error {
	if len(fresh) == 0 {
		return nil
	}
	owners, names, units, kinds := columns(fresh)
	rows, err := w.tx.Query(ctx, w.sql(`INSERT INTO {s}.points (controller, name, unit, kind)
		SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::smallint[]) RETURNING controller, name, id`), owners, names, units, kinds)
	if err != nil {
		return err
	}
	byID := map[int32]*judge.Controller{}
	for _, p := range fresh {
		byID[p.Owner.ID] = p.Owner.Controller
	}
	var owner, id int32
	var name string
	_, err = pgx.ForEachRow(rows, []any{&owner, &name, &id}, func() error {
		byID[owner].Points[name].ID = id
		w.state.catalogue.size++
		return nil
	})
	return err
}

func columns(ps []judge.NewPoint) (owners []int32, names, units []string, kinds []int16) {
	for _, p := range ps {
		owners, names = append(owners, p.Owner.ID), append(names, p.Name)
		units, kinds = append(units, p.Unit), append(kinds, int16(p.Kind))
	}
	return owners, names, units, kinds
}
