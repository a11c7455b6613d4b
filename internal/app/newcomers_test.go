package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/sink/postgres"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/crashfs"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// sharing is a node at work that shares a database with others.
type sharing struct {
	*node
	t *testing.T
}

// share starts a node with a disk of its own, which ends with the test.
func share(t *testing.T, server *pgtest.Server) sharing {
	t.Helper()
	c := settings.Default()
	c.Sinks = []settings.Sink{{Name: "central", Record: true, Postgres: &postgres.Config{Server: "postgres://127.0.0.1:" + server.Port + "/postgres", User: "postgres"}}}
	n, err := openNode(nodeOptions{
		config: c, fs: crashfs.New(), dir: "data", now: time.Now,
		log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, run := range []func(context.Context) error{n.sinks.Run, n.meetNewcomers} {
		work.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		work.Wait()
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	return sharing{n, t}
}

// admit gives a report to the node as a source does, and returns the verdict on it.
func (n sharing) admit(controller string, seq uint64) (penstock.Verdict, error) {
	r := &penstock.Report{
		Controller: controller, Identity: penstock.SequenceIdentity(9, seq), Source: "test", Fingerprint: penstock.Fingerprint(seq),
		Samples: []penstock.Sample{{Point: "level", SourceTime: int64(seq), Value: penstock.FloatValue(float64(seq))}},
	}
	outcomes, err := n.verdicts.Admit([]intake.Judged{{Reports: []intake.Item{{Report: r}}}}).Wait(n.t.Context())
	if err = errors.Join(err, outcomes[0].Err); err != nil {
		return penstock.Verdict{}, err
	}
	return outcomes[0].Verdicts[0], nil
}

// admits does so until it is judged.
func (n sharing) admits(controller string, seq uint64) (v penstock.Verdict) {
	n.t.Helper()
	testkit.Eventually(n.t, func() (judged bool) {
		var err error
		v, err = n.admit(controller, seq)
		if err != nil && penstock.CodeOf(err) != penstock.Unavailable {
			n.t.Fatal(err)
		}
		return err == nil
	}, "a report to be judged")
	return v
}

// committed tells whether the node says that the reports up to seq are committed.
func (n sharing) committed(controller string, seq uint64) bool {
	_, committed, _ := n.intake.MarksOf(controller, 9)
	return committed.Seq == seq
}

func startDatabase(t *testing.T) *pgtest.Server {
	t.Helper()
	server, err := pgtest.Start(pgtest.Memory())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// TestAnyNodeKnowsTheMarks moves a controller to a node that has never heard of it,
// while the record answers and while it does not.
func TestAnyNodeKnowsTheMarks(t *testing.T) {
	server := startDatabase(t)
	one := share(t, server)
	const last = 40
	for seq := uint64(1); seq <= last; seq++ {
		one.admits("pump-1", seq)
	}
	testkit.Eventually(t, func() bool { return one.committed("pump-1", last) }, "the first node to commit")
	two := share(t, server)
	if v := two.admits("pump-1", last); v.Result != penstock.Duplicate || v.Committed.Seq != last || v.Accepted.Seq != last {
		t.Errorf("the second node says of a report that the first has taken: %+v", v)
	}
	three := share(t, server)
	testkit.Eventually(t, func() bool { return three.newcomers.Meet("pump-1", 0) == nil }, "the record to answer")
	if accepted, committed, epoch := three.intake.MarksOf("pump-1", 9); accepted.Seq != last || committed.Seq != last || epoch != 9 {
		t.Errorf("the third node says %v, %v and the last epoch %d", accepted, committed, epoch)
	}
	if err := server.Down(); err != nil {
		t.Fatal(err)
	}
	if v, err := two.admit("pump-1", last+1); err != nil || v.Result != penstock.Accepted || v.Accepted.Seq != last+1 || v.Committed.Seq != last {
		t.Errorf("a controller that is known is held up while the record is down: %+v, %v", v, err)
	}
	if _, err := two.admit("pump-2", 1); penstock.CodeOf(err) != penstock.Unavailable || penstock.RetryAfterOf(err) == 0 {
		t.Errorf("a controller that is not known hears %v while the record is down", err)
	}
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	if v := two.admits("pump-2", 1); v.Result != penstock.Accepted {
		t.Errorf("a new controller hears %+v", v)
	}
	testkit.Eventually(t, func() bool { return two.committed("pump-1", last+1) && two.committed("pump-2", 1) }, "the second node to commit")
}

// TestEveryReportThroughBothNodes gives each report to both nodes at once, and every
// other one to one of them only: each is stored once, and both nodes tell in the end
// that all is committed.
func TestEveryReportThroughBothNodes(t *testing.T) {
	server := startDatabase(t)
	nodes := [2]sharing{share(t, server), share(t, server)}
	const last = 120
	for seq := uint64(1); seq <= last; seq++ {
		if seq%2 == 0 && seq < last { // the last ones go to both: each hears of what the other has settled
			nodes[seq/2%2].admits("pump-1", seq)
			continue
		}
		var both sync.WaitGroup
		for _, n := range nodes {
			both.Go(func() { n.admits("pump-1", seq) })
		}
		both.Wait()
	}
	for i, n := range nodes {
		testkit.Eventually(t, func() bool {
			if n.committed("pump-1", last) {
				return true
			}
			n.admits("pump-1", last) // as a controller does that asks
			return false
		}, "both nodes to commit")
		if books, _ := n.intake.Totals(); !books.Balanced() {
			t.Errorf("the books of node %d do not balance: %+v", i+1, books)
		}
	}
	if got := server.Number(t, "postgres", "SELECT count(*) FROM penstock.samples"); got != last {
		t.Errorf("%d samples of %d reports", got, last)
	}
	one, _ := nodes[0].intake.Totals()
	two, _ := nodes[1].intake.Totals()
	if one.Stored+two.Stored != last || one.StoredTwice+two.StoredTwice == 0 {
		t.Errorf("%d and %d are called stored, %d and %d stored before", one.Stored, two.Stored, one.StoredTwice, two.StoredTwice)
	}
}
