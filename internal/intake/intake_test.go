package intake_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/interval"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// node is an intake on a log in memory, with a record that a test moves by hand.
type node struct {
	t      *testing.T
	fs     vfs.FS
	log    *spool.Spool
	intake *intake.Intake
	record *record

	segment int64    // bytes of a segment of the log
	again   []string // identities of the reports that a restart replayed
}

// record is a system of record without samples.
type record struct {
	through  penstock.Position
	settled  map[string]map[uint64]*interval.Set
	counters map[string][3]uint64
}

func (r *record) Through() penstock.Position { return r.through }

func (r *record) Settled(yield func(string, uint64, *interval.Set) bool) error {
	for controller, epochs := range r.settled {
		for epoch, set := range epochs {
			if !yield(controller, epoch, set) {
				return nil
			}
		}
	}
	return nil
}

func (r *record) Counters(yield func(string, ledger.Outcomes) bool) {
	for controller, c := range r.counters {
		if !yield(controller, ledger.Outcomes{Stored: c[0], StoredTwice: c[1], Quarantined: c[2]}) {
			return
		}
	}
}

func start(t *testing.T) *node {
	n := &node{t: t, fs: vfs.NewMem(), segment: 64 << 10, record: &record{
		settled: map[string]map[uint64]*interval.Set{}, counters: map[string][3]uint64{},
	}}
	n.open()
	t.Cleanup(n.close)
	return n
}

func (n *node) open() {
	n.t.Helper()
	n.log = n.openLog()
	var err error
	n.again = nil
	n.intake, err = intake.Open(intake.Options{
		Log: n.log, Record: n.record, Now: time.Now,
		Replayed: func(r *penstock.Report) { n.again = append(n.again, r.Identity.String()) },
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) close() {
	if err := n.log.Close(); err != nil {
		n.t.Error(err)
	}
}

func (n *node) restart() {
	n.t.Helper()
	n.close()
	n.open()
}

// admit sends the items in one envelope and returns their verdicts.
func (n *node) admit(items ...intake.Item) []penstock.Verdict {
	n.t.Helper()
	outcomes := n.wait(n.intake.Admit([]intake.Judged{{Reports: items}}))
	if outcomes[0].Err != nil {
		n.t.Fatal(outcomes[0].Err)
	}
	return outcomes[0].Verdicts
}

func (n *node) wait(ticket penstock.Ticket) []penstock.Outcome {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	outcomes, err := ticket.Wait(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	return outcomes
}

// deliver settles everything in the log with the record, as the sink's runner
// does.
func (n *node) deliver() {
	n.t.Helper()
	reader := n.log.NewReader(n.record.through + 1)
	defer reader.Close()
	var decoder intake.Decoder
	for {
		records, err := reader.Next(100)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			n.t.Fatal(err)
		}
		for _, rec := range records {
			n.record.through = rec.Last
			_, report, err := decoder.Decode(rec.Data)
			if err != nil {
				n.t.Fatal(err)
			}
			if report == nil {
				continue
			}
			n.record.settle(report)
			n.intake.Settled(penstock.Batch{
				First: rec.Position, Last: rec.Position, Deliveries: []penstock.Delivery{{Position: rec.Position, Report: report}},
			}, penstock.Receipt{Settlements: []penstock.Settlement{penstock.Stored}})
		}
	}
}

func (r *record) settle(report *penstock.Report) {
	c := r.counters[report.Controller]
	c[0]++
	r.counters[report.Controller] = c
	if report.Identity.Form != penstock.Sequence {
		return
	}
	epochs := r.settled[report.Controller]
	if epochs == nil {
		epochs = map[uint64]*interval.Set{}
		r.settled[report.Controller] = epochs
	}
	if epochs[report.Identity.Epoch] == nil {
		epochs[report.Identity.Epoch] = &interval.Set{}
	}
	epochs[report.Identity.Epoch].Add(report.Identity.Seq, report.Identity.Seq)
}

func (n *node) books(controller string) ledger.Books {
	n.t.Helper()
	for _, account := range n.intake.Books() {
		if account.Controller == controller {
			if !account.Books.Balanced() {
				n.t.Fatalf("the books of %q do not balance: %+v", controller, account.Books)
			}
			return account.Books
		}
	}
	n.t.Fatalf("%q has no books", controller)
	return ledger.Books{}
}

// report returns a report of pump-1 with one sample.
func report(id penstock.Identity, value float64) intake.Item {
	return intake.Item{Report: &penstock.Report{
		Controller: "pump-1", Identity: id, Source: "https", ReceivedTime: 1, Fingerprint: penstock.Fingerprint(value),
		Samples: []penstock.Sample{{Point: "flow", SourceTime: int64(id.Seq), Value: penstock.FloatValue(value)}},
	}}
}

func sequence(seq uint64, value float64) intake.Item {
	return report(penstock.SequenceIdentity(1, seq), value)
}

func refused(seq uint64, trusted bool) intake.Item {
	item := sequence(seq, 0)
	item.Reason, item.Detail, item.Trusted = penstock.ReasonRange, "validate: out of range", trusted
	return item
}

func TestReportsAreAcceptedOnce(t *testing.T) {
	n := start(t)
	v := n.admit(sequence(1, 10), sequence(2, 20))
	if v[0].Result != penstock.Accepted || v[1].Result != penstock.Accepted {
		t.Fatalf("verdicts %+v", v)
	}
	if v[1].Accepted.Seq != 2 || v[1].Committed.Seq != 0 {
		t.Fatalf("marks %+v", v[1])
	}
	v = n.admit(sequence(1, 10), sequence(2, 21), sequence(3, 30))
	if v[0].Result != penstock.Duplicate || v[1].Reason != penstock.ReasonConflict || v[2].Result != penstock.Accepted {
		t.Fatalf("verdicts %+v", v)
	}
	n.deliver()
	n.restart()
	v = n.admit(sequence(3, 30))
	if v[0].Result != penstock.Duplicate || v[0].Committed.Seq != 3 {
		t.Fatalf("after a restart: %+v", v[0])
	}
	books := n.books("pump-1")
	if books.Received != 6 || books.Accepted != 3 || books.Duplicate != 2 || books.RejectedTotal() != 1 || books.Stored != 3 {
		t.Fatalf("books %+v", books)
	}
	n.admit(sequence(7, 70))
	if duplicates, missing, known := n.intake.Arrivals("pump-1"); duplicates != 2 || missing != 3 || !known {
		t.Errorf("%d duplicates, %d missing, known %v", duplicates, missing, known)
	}
	if _, _, known := n.intake.Arrivals("nobody"); known {
		t.Error("nobody has books")
	}
}

func TestTheSameReportTwiceInOneEnvelope(t *testing.T) {
	n := start(t)
	v := n.admit(sequence(1, 10), sequence(1, 10), sequence(1, 11))
	if v[0].Result != penstock.Accepted || v[1].Result != penstock.Duplicate || v[2].Reason != penstock.ReasonConflict {
		t.Fatalf("verdicts %+v", v)
	}
	n.books("pump-1")
}

func TestKeysAndNaturalIdentities(t *testing.T) {
	n := start(t)
	key := penstock.KeyIdentity("a very long key that tells this report from the others")
	v := n.admit(report(key, 1), report(key, 1), report(key, 2), report(penstock.Identity{}, 1), report(penstock.Identity{}, 1))
	want := []penstock.Result{penstock.Accepted, penstock.Duplicate, penstock.Rejected, penstock.Accepted, penstock.Accepted}
	for i := range want {
		if v[i].Result != want[i] {
			t.Errorf("report %d: %+v, want %v", i, v[i], want[i])
		}
	}
	n.restart()
	if v := n.admit(report(key, 1)); v[0].Result != penstock.Duplicate {
		t.Errorf("the key after a restart: %+v", v[0])
	}
	n.books("pump-1")
}

func TestARefusalFillsItsPlaceForGood(t *testing.T) {
	n := start(t)
	n.admit(sequence(1, 1))
	if v := n.admit(refused(2, true), refused(2, true)); v[0].Accepted.Seq != 2 || v[1].Reason != penstock.ReasonRange {
		t.Fatalf("verdicts %+v", v)
	}
	n.admit(sequence(3, 3))
	n.deliver()
	n.restart()
	v := n.admit(sequence(2, 2), sequence(4, 4))
	if v[0].Reason != penstock.ReasonRefused || v[1].Result != penstock.Accepted || v[1].Committed.Seq != 3 {
		t.Fatalf("verdicts %+v", v)
	}
	if books := n.books("pump-1"); books.Rejected[penstock.ReasonRange] != 2 || books.Rejected[penstock.ReasonRefused] != 1 {
		t.Fatalf("books %+v", books)
	}
}

func TestARefusalUnderWayHoldsItsPlace(t *testing.T) {
	n := start(t)
	v := n.admit(refused(1, true), sequence(1, 1), refused(1, true))
	if v[0].Reason != penstock.ReasonRange || v[1].Reason != penstock.ReasonRefused || v[2].Reason != penstock.ReasonRange {
		t.Fatalf("verdicts %+v", v)
	}
	n.deliver()
	if books := n.books("pump-1"); books.Accepted != 0 || books.Received != 3 {
		t.Fatalf("books %+v", books)
	}
}

func TestWhatWasAcceptedStaysSoWhenTheRulesChange(t *testing.T) {
	n := start(t)
	n.admit(sequence(1, 1))
	keyed := report(penstock.KeyIdentity("k"), 1)
	n.admit(keyed)
	for _, resend := range []intake.Item{sequence(1, 1), keyed} {
		resend.Reason, resend.Trusted = penstock.ReasonRange, true
		if v := n.admit(resend); v[0].Result != penstock.Duplicate || v[0].Reason != "" {
			t.Fatalf("verdict %+v", v[0])
		}
	}
	n.books("pump-1")
}

func TestAStrangerFillsNothing(t *testing.T) {
	n := start(t)
	n.admit(refused(1, false))
	if v := n.admit(sequence(1, 1)); v[0].Result != penstock.Accepted {
		t.Fatalf("verdict %+v", v[0])
	}
	if books := n.books(""); books.Rejected[penstock.ReasonRange] != 1 || books.Received != 1 {
		t.Fatalf("books of nobody: %+v", books)
	}
}

func TestWhatIsFilteredIsSettledWithoutTheRecord(t *testing.T) {
	n := start(t)
	item := sequence(1, 1)
	item.Filter = true
	if v := n.admit(item); v[0].Result != penstock.Accepted || v[0].Committed.Seq != 1 {
		t.Fatalf("verdict %+v", v[0])
	}
	n.restart()
	if books := n.books("pump-1"); books.Filtered != 1 || books.Accepted != 1 || books.Waiting != 0 {
		t.Fatalf("books %+v", books)
	}
	if v := n.admit(sequence(1, 1)); v[0].Result != penstock.Duplicate {
		t.Fatalf("a resend of what was filtered: %+v", v[0])
	}
}

func TestRefusedEnvelopesAreBooked(t *testing.T) {
	n := start(t)
	sign := penstock.Errorf(penstock.Unauthenticated, "no token")
	broken := penstock.Errorf(penstock.Invalid, "not JSON")
	durable := n.log.Durable()
	outcomes := n.wait(n.intake.Admit([]intake.Judged{{Err: sign, Reason: penstock.ReasonUnauthenticated}}))
	if !errors.Is(outcomes[0].Err, sign) || n.log.Durable() != durable {
		t.Fatalf("an unauthenticated sender bought a commit: %+v", outcomes)
	}
	n.wait(n.intake.Admit([]intake.Judged{{Err: broken, Reason: penstock.ReasonMalformed}}))
	n.restart()
	books := n.books("")
	if books.Rejected[penstock.ReasonUnauthenticated] != 1 || books.Rejected[penstock.ReasonMalformed] != 1 || books.Received != 2 {
		t.Fatalf("books of nobody: %+v", books)
	}
}

func TestARestartGoesOnFromTheSnapshot(t *testing.T) {
	n := start(t)
	for seq := uint64(1); seq <= 40; seq++ {
		n.admit(sequence(seq, float64(seq)))
		if seq == 20 {
			n.deliver()
		}
		if seq%8 == 0 {
			if _, err := n.intake.Checkpoint(math.MaxUint64); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.restart()
	if len(n.again) != 20 || n.again[0] != "1/21" {
		t.Fatalf("replayed %v, want 1/21 to 1/40", n.again)
	}
	if books := n.books("pump-1"); books.Waiting != 20 || books.Stored != 20 {
		t.Fatalf("books %+v", books)
	}
	n.deliver()
	if accepted, committed := n.intake.Marks("pump-1"); accepted.Seq != 40 || committed.Seq != 40 {
		t.Fatalf("marks %v and %v", accepted, committed)
	}
}

func TestTheRecordsWordHoldsWhenTheLogIsLost(t *testing.T) {
	n := start(t)
	n.admit(sequence(1, 1), sequence(2, 2))
	n.deliver()
	n.close()
	if err := n.fs.RemoveAll("spool"); err != nil {
		t.Fatal(err)
	}
	n.open()
	if v := n.admit(sequence(2, 2), sequence(3, 3)); v[0].Result != penstock.Duplicate || v[1].Result != penstock.Accepted {
		t.Fatalf("verdicts %+v", v)
	}
	before := n.record.through
	n.deliver()
	if n.record.through <= before || n.record.counters["pump-1"][0] != 3 {
		t.Fatalf("the record stands at %d after %d with %v", n.record.through, before, n.record.counters)
	}
}
