package delivery_test

import (
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/testkit"
)

// A controller moves to another node. What the first one refused, dropped or was told to
// be lost holds its watermark there back no more than here, and is answered as here.
func TestAControllerThatMovesLeavesNoHolesBehind(t *testing.T) {
	here, there := newNode(t), newNode(t)
	there.record = here.record
	here.open()
	there.open()
	offer := func(n *node, seq uint64, item intake.Item) penstock.Verdict {
		t.Helper()
		item.Report = &penstock.Report{
			Controller: "pump-1", Identity: penstock.SequenceIdentity(1, seq), Fingerprint: penstock.Fingerprint(seq),
			Samples: []penstock.Sample{{Point: "flow", Value: penstock.IntValue(1)}},
		}
		outcomes, err := n.intake.Admit([]intake.Judged{{Reports: []intake.Item{item}}}).Wait(t.Context())
		n.must(err)
		return outcomes[0].Verdicts[0]
	}
	refused, dropped := intake.Item{Reason: penstock.ReasonRange, Trusted: true}, intake.Item{Filter: true}
	here.send(2)
	offer(here, 3, refused)
	offer(here, 4, refused)
	offer(here, 5, dropped)
	here.must(here.intake.DeclareLost(t.Context(), []ledger.Gap{{Controller: "pump-1", Epoch: 1, First: 6, Last: 8}}))
	offer(here, 9, refused)
	here.sent = 9
	here.send(1)
	here.committed()
	there.sent = 10
	there.send(1)
	there.committed()
	for seq, want := range map[uint64]penstock.Result{2: penstock.Duplicate, 3: penstock.Rejected, 5: penstock.Duplicate, 7: penstock.Rejected, 9: penstock.Rejected, 10: penstock.Duplicate} {
		v := offer(there, seq, intake.Item{})
		if v.Result != want || want == penstock.Rejected && v.Reason != penstock.ReasonRefused {
			t.Errorf("report %d is answered %v %s, want %v", seq, v.Result, v.Reason, want)
		}
	}
	testkit.Eventually(t, func() bool { return there.status("record").Backlog.Reports == 0 }, "everything in the record")
	stored := map[int64]int{}
	for _, s := range here.record.Stored() {
		stored[s.SourceTime]++
	}
	if len(here.record.Stored()) != 4 || stored[1] != 1 || stored[2] != 1 || stored[10] != 1 || stored[11] != 1 {
		t.Errorf("stored are reports %v, each so often; want 1, 2, 10 and 11 once", stored)
	}
}
