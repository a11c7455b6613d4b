package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/bench/bodies"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/pause"
)

// idleConnections prints what a connection weighs that has asked once and stays
// open: by how much the memory of a fresh gateway grows for each. Some are open
// before those that are weighed, and have used up the room which the collector
// leaves the heap to grow in, however few there are.
func (s settings) idleConnections(ctx context.Context) error {
	gateway, err := process.Gateway(ctx, s.gateway, filepath.Join(s.directory, "idle"))
	if err != nil {
		return err
	}
	defer gateway.Stop()
	body := bodies.JSON(999, 1, uint64(time.Now().UnixMicro()))
	l := load{endpoint: gateway.Endpoint, media: mediaJSON}
	few := s.idle / 3
	open := make([]sender, 0, s.idle)
	defer func() {
		for _, c := range open {
			c.close()
		}
	}()
	weigh := func(connections int) (int64, error) {
		for len(open) < connections {
			c, err := l.dial()
			if err != nil {
				return 0, err
			}
			open = append(open, c)
			if err := c.send(body(nil)); err != nil {
				return 0, err
			}
		}
		return settledMemory(ctx, gateway)
	}
	before, err := weigh(few)
	if err != nil {
		return err
	}
	after, err := weigh(s.idle)
	if err != nil {
		return err
	}
	const floor = 40 << 10
	each := max(after-before, 0) / int64(s.idle-few)
	t := newTable(fmt.Sprintf("%d idle TLS connections after one request each, a gateway of their own", s.idle), "what", "value", "floor", "of the floor")
	t.row(fmt.Sprintf("memory with %d of them", few), size(before), "", "")
	t.row("memory with all", size(after), "", "")
	t.row("a connection, KiB", fmt.Sprintf("%.1f", float64(each)/(1<<10)), fmt.Sprint(floor>>10), ratio(floor, float64(each)))
	t.print()
	return nil
}

// settledMemory returns the process's memory once it has stayed the same, within
// one part in a hundred, for some seconds.
func settledMemory(ctx context.Context, p *process.Process) (int64, error) {
	const still, patience = 5, 60 // seconds
	last, calm := int64(0), 0
	for range patience {
		now, _, err := p.Memory()
		if err != nil {
			return 0, err
		}
		if calm++; (now-last)*100 > last || (last-now)*100 > last {
			last, calm = now, 0
		}
		if calm == still {
			return now, nil
		}
		if err := pause.For(ctx, time.Second); err != nil {
			return 0, err
		}
	}
	return last, nil
}
