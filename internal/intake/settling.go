package intake

import (
	"context"

	"github.com/penstock/penstock"
)

// Settling begins to look after reports, before they are submitted. What it returns
// waits until the system of record has settled every report of the verdicts that was
// accepted or is a duplicate. Its error is that of ctx, or of a temporary code when a
// report must be sent again.
func (n *Intake) Settling() func(ctx context.Context, vs []penstock.Verdict) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := settling{home: n, after: n.applied, damaged: n.damaged}
	return s.wait
}

// settling is what was true before some reports were submitted.
type settling struct {
	home    *Intake
	after   penstock.Position // what is appended later stands behind it
	damaged uint64
}

func (s settling) wait(ctx context.Context, vs []penstock.Verdict) error {
	through := s.home.log.Durable() // what was accepted stands before it
	for {
		left, moved, err := s.look(vs, through)
		if err != nil || len(left) == 0 {
			return err
		}
		vs = left
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look returns the verdicts from the first on that is not settled, and what is closed
// when that may have changed.
func (s settling) look(vs []penstock.Verdict, through penstock.Position) (left []penstock.Verdict, moved <-chan struct{}, err error) {
	n := s.home
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.damaged != s.damaged {
		return nil, nil, tryAgain("a report in the spool cannot be read any more, and it may be one of these: send them again")
	}
	for len(vs) > 0 && s.settled(&vs[0], through) {
		vs = vs[1:]
	}
	if len(vs) > 0 && n.moved == nil {
		n.moved = make(chan struct{})
	}
	return vs, n.moved, nil
}

// settled tells whether the record has settled a report. Of a sequence the ledger
// knows it. Of any other the place in the log tells: one that was accepted stands
// between after and through, one that was there before stands anywhere before through.
// The lock is held.
func (s settling) settled(v *penstock.Verdict, through penstock.Position) bool {
	n := s.home
	switch {
	case v.Result == penstock.Rejected:
		return true
	case v.Identity.Form == penstock.Sequence:
		return n.ledger.Settled(v.Controller, v.Identity)
	case v.Result == penstock.Accepted:
		return penstock.Position(n.settled.Through(uint64(s.after)+1)) >= through
	}
	return penstock.Position(n.settled.Through(1)) >= through
}

// tell wakes those who wait for the record. The lock is held.
func (n *Intake) tell() {
	if n.moved != nil {
		close(n.moved)
		n.moved = nil
	}
}
