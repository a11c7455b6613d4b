package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/sink/postgres/copyrow"
	"github.com/penstock/penstock/internal/sink/postgres/judge"
	"github.com/penstock/penstock/internal/sink/postgres/schema"
)

// Settle implements [penstock.Record].
func (r *Record) Settle(ctx context.Context, b penstock.Batch) (penstock.Receipt, error) {
	if err := r.take(ctx); err != nil {
		return penstock.Receipt{}, err
	}
	defer r.give()
	if !r.state.ready {
		return penstock.Receipt{}, penstock.Errorf(penstock.Unavailable, "PostgreSQL: what is settled must be found out first")
	}
	receipt, err := r.settle(ctx, b)
	if err != nil {
		r.up.Store(false)
		r.state = state{} // some of it may have been true only inside of the transaction
		return penstock.Receipt{}, translate("settling", err)
	}
	return receipt, nil
}

// settle settles the batch in one transaction. Where the database refuses what is
// in it, each half is settled for itself, until the report is alone that is
// refused: it goes to quarantine.
func (r *Record) settle(ctx context.Context, b penstock.Batch) (penstock.Receipt, error) {
	receipt, err := r.settleOnce(ctx, b, "")
	reason, refused := refusesData(err)
	if !refused {
		return receipt, err
	}
	r.state.catalogue = catalogue{}
	r.state.partitions.Forget()
	switch len(b.Deliveries) {
	case 0:
		return receipt, err
	case 1:
		return r.settleOnce(ctx, b, reason)
	}
	half := len(b.Deliveries) / 2
	low, high := b, b
	low.Deliveries, high.Deliveries = b.Deliveries[:half], b.Deliveries[half:]
	high.First = high.Deliveries[0].Position
	low.Last, high.Filled = high.First-1, nil
	first, err := r.settle(ctx, low)
	if err != nil {
		return receipt, err
	}
	second, err := r.settle(ctx, high)
	return penstock.Receipt{
		Settlements: append(first.Settlements, second.Settlements...), Known: append(first.Known, second.Known...),
	}, err
}

// work is one transaction that settles a batch.
type work struct {
	*Record
	*judge.Case
	tx      pgx.Tx
	wanted  wanted
	byID    map[int32]*judge.Held // as Held
	stored  int64                 // microseconds since 1970, the server's clock
	missing schema.Missing        // partitions
}

// sql returns the statement for the schema.
func (w *work) sql(statement string) string { return w.schema.SQL(statement) }

// settleOnce settles the batch in one transaction. With a reason it refuses the
// reports that would be stored.
func (r *Record) settleOnce(ctx context.Context, b penstock.Batch, refuse string) (receipt penstock.Receipt, err error) {
	r.state.catalogue.trim()
	w := &work{Record: r, wanted: want(b), byID: map[int32]*judge.Held{}, missing: schema.Missing{}}
	w.Case = &judge.Case{
		Batch: b, Refuse: refuse, Room: w.room, Marks: make([]judge.Mark, len(b.Deliveries)),
		Outcomes: map[penstock.Position]penstock.Settlement{}, Held: map[string]*judge.Held{}, Owners: map[string]*judge.Held{},
		Parked: map[int64]*judge.Parked{}, Existing: map[judge.SampleAt][]judge.Content{},
	}
	if err := r.register(ctx, w.wanted.names); err != nil {
		return penstock.Receipt{}, err
	}
	err = r.within(ctx, func(tx pgx.Tx) error {
		w.tx = tx
		for _, step := range []func(context.Context) error{
			w.read, w.readKeys, w.findPoints, w.findSamples, w.decide, w.quarantine, w.savePoints, w.copy, w.write,
		} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return penstock.Receipt{}, err
	}
	r.state.changes++
	return w.receipt(), nil
}

// room tells whether there can be a partition for the time, and notes when it must
// be made.
func (w *work) room(micros int64) error {
	_, err := w.state.partitions.Has(micros, w.missing)
	return err
}

// decide judges the batch.
func (w *work) decide(context.Context) error {
	w.Judge()
	return nil
}

// copy writes the samples that are new.
func (w *work) copy(ctx context.Context) error {
	if err := w.state.partitions.Make(ctx, w.tx, w.missing); err != nil || len(w.Rows) == 0 {
		return err
	}
	for i := range w.Rows {
		w.Rows[i].Point = w.Of[i].ID
	}
	// In the order of the index, many reports of few controllers are written a fifth
	// faster, and the samples of a point stand together for those who read them.
	slices.SortStableFunc(w.Rows, func(a, b copyrow.Row) int {
		return cmp.Or(cmp.Compare(a.Point, b.Point), cmp.Compare(a.Sample.SourceTime, b.Sample.SourceTime))
	})
	_, err := w.tx.Conn().PgConn().CopyFrom(ctx, copyrow.NewReader(w.Rows, w.stored),
		w.sql("COPY {s}.samples ("+copyrow.Columns+") FROM STDIN BINARY"))
	return err
}

// receipt answers what became of the batch, and what came through other nodes.
func (w *work) receipt() penstock.Receipt {
	receipt := penstock.Receipt{Settlements: make([]penstock.Settlement, len(w.Marks))}
	for i, m := range w.Marks {
		receipt.Settlements[i] = m.Settlement
	}
	for name, h := range w.Held {
		seen := w.state.catalogue.controllers[name].changes
		for number, e := range h.Epochs {
			if number == 0 || !e.Read {
				continue
			}
			if e.Exists && seen[number] != e.Changes {
				receipt.Known = append(receipt.Known, penstock.Known{Controller: name, Epoch: number, Settled: ranges(&e.Numbers), Filled: ranges(&e.Filled)})
			}
			if e.Touched {
				e.Changes++
			}
			if _, known := seen[number]; !known {
				w.state.catalogue.size++
			}
			seen[number] = e.Changes
		}
	}
	return receipt
}

func ranges(set *interval.Set) []penstock.SeqRange {
	out := make([]penstock.SeqRange, 0, set.Spans())
	for span := range set.All {
		out = append(out, penstock.SeqRange(span))
	}
	return out
}
