package intake_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
)

// settleAt has the record settle the positions, of which those with a report are given.
func (n *node) settleAt(first, last penstock.Position, reports ...*penstock.Report) {
	b := penstock.Batch{First: first, Last: last}
	r := penstock.Receipt{}
	for i, report := range reports {
		b.Deliveries = append(b.Deliveries, penstock.Delivery{Position: first + penstock.Position(i), Report: report})
		r.Settlements = append(r.Settlements, penstock.Stored)
	}
	n.intake.Settled(b, r)
}

// Who waits for the record is told when it has settled the reports, and not before:
// whatever their identity, and whether they are new or duplicates.
func TestSettling(t *testing.T) {
	natural, key := report(penstock.Identity{}, 1), report(penstock.KeyIdentity("k"), 1)
	for name, c := range map[string]struct {
		before []intake.Item // accepted at 1, 2 …
		items  []intake.Item
		settle [][2]penstock.Position // one after the other: with the last one all is settled
	}{
		"a sequence":                {nil, []intake.Item{sequence(1, 1), sequence(2, 1)}, [][2]penstock.Position{{2, 2}, {1, 1}}},
		"a sequence that was there": {[]intake.Item{sequence(1, 1), sequence(2, 1)}, []intake.Item{sequence(2, 1)}, [][2]penstock.Position{{1, 1}, {2, 2}}},
		"before an older one":       {[]intake.Item{sequence(1, 1)}, []intake.Item{sequence(2, 1)}, [][2]penstock.Position{{2, 2}}},
		"a natural one":             {[]intake.Item{sequence(1, 1)}, []intake.Item{natural}, [][2]penstock.Position{{2, 2}}},
		"a natural one comes again": {[]intake.Item{natural}, []intake.Item{natural}, [][2]penstock.Position{{1, 1}, {2, 2}}},
		"a key":                     {[]intake.Item{sequence(1, 1)}, []intake.Item{key}, [][2]penstock.Position{{2, 2}}},
		"a key that was there":      {[]intake.Item{sequence(1, 1), key}, []intake.Item{key}, [][2]penstock.Position{{2, 3}, {1, 1}}},
		"among others":              {[]intake.Item{sequence(1, 1)}, []intake.Item{natural, sequence(2, 1), refused(3, true)}, [][2]penstock.Position{{3, 4}, {2, 2}}},
		"refused":                   {nil, []intake.Item{refused(1, true)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := start(t)
				var all []*penstock.Report
				for _, item := range c.before {
					copied := *item.Report
					item.Report = &copied
					n.admit(item)
					all = append(all, &copied)
				}
				wait := n.intake.Settling()
				var vs []penstock.Verdict
				if len(c.items) > 0 {
					vs = n.admit(c.items...)
				}
				for _, item := range c.items {
					all = append(all, item.Report)
				}
				settled := make(chan error, 1)
				go func() { settled <- wait(t.Context(), vs) }()
				for _, span := range c.settle {
					synctest.Wait()
					if len(settled) > 0 {
						t.Errorf("before %d to %d: told that all is settled: %v", span[0], span[1], <-settled)
						return
					}
					var reports []*penstock.Report
					for at := span[0]; at <= span[1] && int(at) <= len(all); at++ {
						reports = append(reports, all[at-1])
					}
					n.settleAt(span[0], span[1], reports...)
				}
				synctest.Wait()
				if len(settled) == 0 {
					t.Fatal("nobody said that all is settled")
				}
				if err := <-settled; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Who waits is told to send again when the log cannot read something any more, and
// nothing when he gives up.
func TestSettlingThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t)
		wait := n.intake.Settling()
		vs := n.admit(report(penstock.Identity{}, 1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := wait(ctx, vs); err == nil {
			t.Error("given up, and told that it is settled")
		}
		told := make(chan error, 1)
		go func() { told <- wait(t.Context(), vs) }()
		synctest.Wait()
		if err := n.intake.Damage(t.Context(), 1, [][]byte{digest(t, n, 1)}); err != nil {
			t.Fatal(err)
		}
		if err := <-told; !penstock.CodeOf(err).Temporary() {
			t.Errorf("a report that cannot be read: %v", err)
		}
	})
}

// digest returns what the log keeps apart of the entry at a position.
func digest(t *testing.T, n *node, at penstock.Position) []byte {
	t.Helper()
	reader := n.log.NewReader(at)
	defer reader.Close()
	records, err := reader.Next(1)
	if err != nil {
		t.Fatal(err)
	}
	return records[0].Digest
}
