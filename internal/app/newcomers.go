package app

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/app/verdicts"
	"github.com/penstock/penstock/internal/newcomer"
	"github.com/penstock/penstock/internal/source"
)

// openNewcomers makes what asks the record about controllers that are new here, where
// other nodes may know them, and returns what admits reports.
func (n *node) openNewcomers(o nodeOptions) verdicts.Admitter {
	if o.config.RecordName() == settings.HistorianName {
		return n.intake
	}
	n.newcomers = newcomer.New(newcomer.Options{
		Intake: n.intake, Now: o.now, Log: component(o.log, "newcomers"),
		Known: func(ctx context.Context, controller string) ([]penstock.Known, error) {
			return n.sinks.Shared.Known(ctx, controller)
		},
	})
	return n.newcomers
}

// meetNewcomers asks the record until ctx ends.
func (n *node) meetNewcomers(ctx context.Context) error {
	if n.newcomers != nil {
		n.newcomers.Run(ctx)
	}
	return nil
}

// share gives the sources what a node needs that shares its record: nothing where the
// record stands on its disk.
func (n *node) share(o *source.Options) {
	if n.newcomers != nil {
		o.Env.Newcomers, o.Leases = n.newcomers, n.sinks.Shared
	}
}
