package app

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/tracing"
)

// tracesWait is how long a stop waits for the collector of traces.
const tracesWait = 2 * time.Second

// openTraces begins to follow envelopes, where somebody is told.
func (n *node) openTraces(o nodeOptions) (err error) {
	n.traces, err = tracing.New(tracing.Options{
		Config: o.config.Trace, Node: o.name, Version: o.version, Log: component(o.log, "trace"), Now: o.now,
	})
	n.closers = append(n.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), tracesWait)
		defer cancel()
		_ = n.traces.Close(ctx) // a collector that is away must not keep the gateway from stopping well
		return nil
	})
	return err
}
