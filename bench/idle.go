package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/bench/bodies"
	"github.com/penstock/penstock/bench/process"
)

// idleConnections prints what a connection weighs that has asked once and stays
// open: by how much the memory of a fresh gateway grows for each. One connection
// before them has paid for what all share.
func (s settings) idleConnections(ctx context.Context) error {
	gateway, err := process.Gateway(ctx, s.gateway, filepath.Join(s.directory, "idle"))
	if err != nil {
		return err
	}
	defer gateway.Stop()
	body := bodies.JSON(999, 1, uint64(time.Now().UnixMicro()))
	l := load{endpoint: gateway.Endpoint, media: mediaJSON}
	open := make([]sender, 0, s.idle+1)
	defer func() {
		for _, c := range open {
			c.close()
		}
	}()
	connect := func() error {
		c, err := l.dial()
		if err != nil {
			return err
		}
		open = append(open, c)
		return c.send(body(nil))
	}
	if err := connect(); err != nil {
		return err
	}
	before, err := settledMemory(ctx, gateway)
	if err != nil {
		return err
	}
	for range s.idle {
		if err := connect(); err != nil {
			return err
		}
	}
	after, err := settledMemory(ctx, gateway)
	if err != nil {
		return err
	}
	const floor = 40 << 10
	each := max(after-before, 0) / int64(s.idle)
	t := newTable(fmt.Sprintf("%d idle TLS connections after one request each, a gateway of their own", s.idle), "what", "value", "floor", "of the floor")
	t.row("memory with one connection", size(before), "", "")
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
		if err := wait(ctx, time.Second); err != nil {
			return 0, err
		}
	}
	return last, nil
}
