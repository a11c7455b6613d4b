package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// Summary is how a demo came out. The first nine numbers count reports, by the
// senders' own ledgers held against the store that was read back; the gateway's
// counters have no part in them, except in Quarantined.
type Summary struct {
	Sent        int64 `json:"sent"`        // handed to the network at least once
	Accepted    int64 `json:"accepted"`    // acknowledged to their sender
	Committed   int64 `json:"committed"`   // acknowledged, and in the store once, whole and unchanged
	Duplicate   int64 `json:"duplicate"`   // resends and copies that the gateway called so
	Rejected    int64 `json:"rejected"`    // refused for good
	Quarantined int64 `json:"quarantined"` // kept apart for a person, as the gateway says
	Lost        int64 `json:"lost"`
	Phantom     int64 `json:"phantom"`
	Mutated     int64 `json:"mutated"`

	Unanswered Unanswered `json:"unanswered"`
	Messages   Messages   `json:"messages"`
	Run        Figures    `json:"run"`
	Books      Books      `json:"books"`    // the gateway's own
	Findings   []string   `json:"findings"` // the first of what is wrong
	Drill      []Drilled  `json:"drill,omitempty"`
}

// Unanswered are reports whose sender heard nothing until the end.
type Unanswered struct {
	Stored int64 `json:"stored"`
	Absent int64 `json:"absent"`
}

// Messages counts what went over the wire.
type Messages struct {
	Sent            int64 `json:"sent"`
	Lost            int64 `json:"lost"`             // on the way there or back
	Copies          int64 `json:"copies"`           // sent on purpose
	HeldBack        int64 `json:"held_back"`        // behind later ones
	Corrupted       int64 `json:"corrupted"`        // damaged on the way
	CorruptRefused  int64 `json:"corrupt_refused"`  // of these, refused for it
	CorruptAccepted int64 `json:"corrupt_accepted"` // of these, taken for good
	Retries         int64 `json:"retries"`
	NoAnswer        int64 `json:"no_answer"`
	Busy            int64 `json:"busy"`
}

// Figures are how the run went.
type Figures struct {
	Controllers int     `json:"controllers"`
	Seconds     float64 `json:"seconds"`
	Samples     int64   `json:"samples"` // read back from the store
	Restarts    int64   `json:"restarts"`
	P50         float64 `json:"ack_p50_ms"`
	P99         float64 `json:"ack_p99_ms"`
	Seed        uint64  `json:"seed"`
}

// OK tells whether the run proves what it should: something was accepted,
// nothing was lost, made up or changed, nothing good was refused, and nobody
// waits for an answer.
func (s *Summary) OK() bool {
	return s.Lost == 0 && s.Phantom == 0 && s.Mutated == 0 && s.Accepted > 0 && s.Rejected == 0 &&
		s.Messages.CorruptAccepted == 0 && s.Unanswered == Unanswered{} && s.Books.Balanced()
}

// Err returns nil when the run is OK, and else an error that says what is not.
func (s *Summary) Err() error {
	if s.OK() {
		return nil
	}
	return penstock.Errorf(penstock.Internal,
		"the demo failed: %d reports lost, %d phantom, %d mutated, %d rejected, %d without an answer, %d damaged ones accepted, of %d acknowledged; books balanced: %v",
		s.Lost, s.Phantom, s.Mutated, s.Rejected, s.Unanswered.Stored+s.Unanswered.Absent, s.Messages.CorruptAccepted, s.Accepted, s.Books.Balanced())
}

// add puts the fleet's side into the summary.
func (s *Summary) add(f *sim.Fleet, b *sim.Balance) {
	s.Sent, s.Accepted, s.Committed, s.Rejected = b.Sent, b.Accepted, b.Committed, b.Rejected
	s.Lost, s.Phantom, s.Mutated, s.Findings = b.Lost, b.Phantom, b.Mutated, b.Findings
	s.Unanswered = Unanswered{Stored: b.Unheard, Absent: b.Unknown}
	s.Run.Samples = b.Samples
	n := f.Stats()
	s.Duplicate = n.Duplicate
	s.Messages = Messages{
		Sent: n.Messages, Lost: n.Lost, Copies: n.Copies, HeldBack: n.Held, Corrupted: n.Corrupted,
		CorruptRefused: n.CorruptRefused, CorruptAccepted: n.CorruptAccepted,
		Retries: n.Retries, NoAnswer: n.Unknown, Busy: n.Busy,
	}
	spread := f.Latency().Spread()
	s.Run.P50, s.Run.P99 = milliseconds(spread.Quantile(0.5)), milliseconds(spread.Quantile(0.99))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (s *Summary) writeJSON(w io.Writer) error {
	if s.Findings == nil {
		s.Findings = []string{}
	}
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// write shows the senders' ledgers against the store.
func (s *Summary) write(w io.Writer) {
	fmt.Fprintf(w, "\nThe senders' own ledgers against the store, read back sample by sample (%d samples)\n", s.Run.Samples)
	row := func(label string, n int64, note string) {
		fmt.Fprintf(w, "  %-34s %10d%s\n", label, n, note)
	}
	row("reports sent", s.Sent, "")
	row("= acknowledged", s.Accepted, "")
	row("+ rejected", s.Rejected, "")
	row("+ never answered", s.Unanswered.Stored+s.Unanswered.Absent, "")
	row("acknowledged", s.Accepted, "")
	row("= stored once and unchanged", s.Committed, "")
	row("+ lost, doubled or changed", s.Accepted-s.Committed, "")
	row("lost", s.Lost, "  acknowledged, not in the store")
	row("phantom", s.Phantom, "  in the store, never sent or there twice")
	row("mutated", s.Mutated, "  in the store with another value")
	m := s.Messages
	fmt.Fprintf(w, "\n  %d messages: %d lost, %d copies, %d held back, %d damaged (%d refused), %d without an answer; %d answers said duplicate\n",
		m.Sent, m.Lost, m.Copies, m.HeldBack, m.Corrupted, m.CorruptRefused, m.NoAnswer, s.Duplicate)
	fmt.Fprintf(w, "  the gateway was killed %d times; acknowledged within %.1f ms (median), %.1f ms (99 of 100)\n", s.Run.Restarts, s.Run.P50, s.Run.P99)
	if len(s.Findings) > 0 {
		fmt.Fprintf(w, "\nWhat is wrong, the first of it:\n  %s\n", strings.Join(s.Findings, "\n  "))
	}
	if s.OK() {
		fmt.Fprintln(w, "\nNothing lost, nothing made up, nothing changed.")
	} else {
		fmt.Fprintln(w, "\nTHE RUN FAILED.")
	}
}

// writeDrill says what was broken and what the gateway said of it.
func (s *Summary) writeDrill(to io.Writer) {
	for _, d := range s.Drill {
		fmt.Fprintf(to, "%s was %s; the gateway said of those that it took %v, of others %v\n", d.Break, d.Cause, d.Said, d.Others)
	}
}
