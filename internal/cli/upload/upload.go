// Package upload sends the reports of an input of any length to a gateway, so
// that sending the same input again stores nothing twice.
package upload

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
)

// Gateway takes reports.
type Gateway interface {
	// SendReports sends reports, each a JSON object on a line, and returns a result
	// a report, in their order. With an error there are fewer results.
	SendReports(ctx context.Context, lines [][]byte) ([]apiclient.Result, error)
}

// Options say how reports are sent.
type Options struct {
	Gateway  Gateway
	Batch    int           // most reports in one request
	Patience time.Duration // how long a batch is tried again when it is refused for now
	Key      string        // begin of the keys of reports without an identity; empty for a random one
	Rand     io.Reader
	Sleep    func(context.Context, time.Duration) error
	Progress func(Tally)       // called after each answer
	Say      func(text string) // called with what a person should know under way
}

// Tally counts what became of the reports.
type Tally struct {
	Sent      int            `json:"sent"` // answered
	Accepted  int            `json:"accepted"`
	Duplicate int            `json:"duplicate"`
	Rejected  int            `json:"rejected"`
	Reasons   map[string]int `json:"reasons,omitempty"` // of the rejected
	Rejects   []string       `json:"rejects,omitempty"` // the first of them, for people
}

// Limits of one request, and of the rejections that are kept one by one.
const (
	MaxBatch      = 10_000
	maxBatchBytes = 512 << 10
	maxRejects    = 5
)

// Send sends the input in batches. A batch goes out when it is full, and when the
// input has nothing more for the moment. The tally counts what was answered, also
// when there is an error.
func Send(ctx context.Context, input io.Reader, o Options) (Tally, error) {
	if o.Batch < 1 || o.Batch > MaxBatch {
		return Tally{}, penstock.Errorf(penstock.Invalid, "a batch has 1 to %d reports, not %d", MaxBatch, o.Batch)
	}
	if o.Key == "" {
		var id [8]byte
		if _, err := io.ReadFull(o.Rand, id[:]); err != nil {
			return Tally{}, penstock.Errorf(penstock.Internal, "no randomness for a key: %w", err)
		}
		o.Key = "send-" + hex.EncodeToString(id[:])
	}
	s := sender{Options: o}
	err := s.run(ctx, input)
	return s.tally, err
}

// sender sends the reports of one input.
type sender struct {
	Options
	tally Tally
	lines [][]byte // the batch that is being filled
	size  int      // of it, in bytes
}

func (s *sender) run(ctx context.Context, input io.Reader) error {
	reports := newReportReader(input)
	for {
		report, err := reports.next()
		if errors.Is(err, io.EOF) {
			return s.flush(ctx)
		}
		if err != nil {
			return errors.Join(s.flush(ctx), err)
		}
		report = withKey(report, s.Key+"/"+strconv.Itoa(reports.count))
		if s.size+len(report) > maxBatchBytes {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
		s.lines, s.size = append(s.lines, report), s.size+len(report)
		if len(s.lines) == s.Batch || reports.dry() {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// flush sends the batch, again and again while it is refused for now. Sending
// twice is safe, as every report has an identity.
func (s *sender) flush(ctx context.Context) error {
	for waited, try := time.Duration(0), 0; len(s.lines) > 0; try++ {
		results, err := s.Gateway.SendReports(ctx, s.lines)
		s.tally.add(results)
		s.Progress(s.tally)
		if err == nil {
			break
		}
		s.lines = s.lines[len(results):]
		wait := s.backoff(try, penstock.RetryAfterOf(err))
		if s.hopeless(err, try) || waited+wait > s.Patience {
			return err
		}
		s.Say(fmt.Sprintf("%s; trying again in %s", err, wait.Round(time.Millisecond)))
		if err := s.Sleep(ctx, wait); err != nil {
			return err
		}
		waited += wait
	}
	s.lines, s.size = nil, 0
	return nil
}

// hopeless tells whether trying again is of no use. A gateway that was never
// reached is more likely a wrong address than one that is about to start.
func (s *sender) hopeless(err error, try int) bool {
	var unreachable *apiclient.Unreachable
	if errors.As(err, &unreachable) {
		return unreachable.Permanent || s.tally.Sent == 0 && try == 0
	}
	return !penstock.CodeOf(err).Temporary()
}

// backoff doubles from a quarter of a second to 15 s, with jitter, and is never
// shorter than what the gateway asks for.
func (s *sender) backoff(try int, asked time.Duration) time.Duration {
	const longest = 15 * time.Second
	wait := min(250*time.Millisecond<<min(try, 10), longest)
	var random [2]byte
	if _, err := io.ReadFull(s.Rand, random[:]); err == nil {
		wait = wait/2 + wait/2*time.Duration(binary.BigEndian.Uint16(random[:]))/(1<<16-1)
	}
	return max(wait, asked)
}

func (t *Tally) add(results []apiclient.Result) {
	for _, r := range results {
		t.Sent++
		switch r.Result {
		case penstock.Accepted.String():
			t.Accepted++
		case penstock.Duplicate.String():
			t.Duplicate++
		default:
			t.Rejected++
			if t.Reasons == nil {
				t.Reasons = map[string]int{}
			}
			t.Reasons[r.Reason]++
			if len(t.Rejects) < maxRejects {
				t.Rejects = append(t.Rejects, reject(t.Sent, r))
			}
		}
	}
}

// String returns the tally in one line.
func (t Tally) String() string {
	return fmt.Sprintf("%s: %d accepted, %d duplicate, %d rejected", output.Count(t.Sent, "report"), t.Accepted, t.Duplicate, t.Rejected)
}

// reject tells of a rejected report, the n-th of the input. One that could not be
// read has no name.
func reject(n int, r apiclient.Result) string {
	text := fmt.Sprintf("report %d", n)
	if r.Controller != "" {
		text += " (" + r.Controller + " " + r.Identity() + ")"
	}
	return output.Clean(text + ": " + r.Reason + ": " + r.Detail)
}
