package cli

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
)

func newSend(env Env) *cobra.Command {
	var at remote
	var asJSON bool
	s := sender{env: env}
	cmd := &cobra.Command{
		Use:   "send [FILE|-]",
		Short: "Send reports from a file or from standard input",
		Long: `Send reports from a file or from standard input: one JSON object, an array of
them, or one object after the other (NDJSON), of any length.

Sending the same input again is safe: a report is known by epoch and seq, by its
key, or by the times of its samples. Only a report with none of these is given a
key of this run; --key makes that safe to repeat too.

Refusals for now (busy, full, not reachable) are tried again for a while. The exit
code is 5 when a report was rejected.`,
		Example: `  penstock send readings.json
  echo '{"controller":"pump-17","samples":[{"point":"flow","value":12.5}]}' | penstock send
  tail -f readings.ndjson | penstock send --url https://gateway:8080 --token-file t`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			input, err := openInput(env, args)
			if err != nil {
				return err
			}
			defer input.Close() //nolint:errcheck // it was only read
			if s.client, err = at.client(env); err != nil {
				return err
			}
			defer s.client.Close()
			err = s.run(cmd.Context(), input)
			return errors.Join(err, s.summary(asJSON))
		},
	}
	cmd.Flags().DurationVar(&s.patience, "retry-for", 2*time.Minute, "the `DURATION` for which a batch is tried again when it is refused for now")
	cmd.Flags().StringVar(&s.key, "key", "", "begin of the `KEY`s of reports that have no identity (default: a random one)")
	cmd.Flags().IntVar(&s.batch, "batch", 1000, "most `REPORTS` in one request")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the summary as JSON")
	at.register(cmd.Flags())
	return cmd
}

func openInput(env Env, args []string) (io.ReadCloser, error) {
	if len(args) == 1 && args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return nil, usagef("%w", err)
		}
		return file, nil
	}
	if f, ok := env.Stdin.(*os.File); ok && isTerminal(f) {
		fmt.Fprintln(env.Stderr, "Type reports in JSON, and end with Ctrl-D.")
	}
	return io.NopCloser(env.Stdin), nil
}

// sender sends the reports of one input.
type sender struct {
	env      Env
	client   *apiclient.Client
	patience time.Duration
	key      string
	batch    int

	tally    tally
	progress *progress
}

// tally counts what became of the reports.
type tally struct {
	Sent      int            `json:"sent"` // answered
	Accepted  int            `json:"accepted"`
	Duplicate int            `json:"duplicate"`
	Rejected  int            `json:"rejected"`
	Reasons   map[string]int `json:"reasons,omitempty"`

	first []string // rejections, for people
}

// Limits of one request, and of the rejections that are shown one by one.
const (
	maxBatchBytes = 512 << 10
	shownRejects  = 5
)

// run sends the input in batches. A batch goes out when it is full, and when the
// input has nothing more for the moment.
func (s *sender) run(ctx context.Context, input io.Reader) error {
	if s.batch < 1 || s.batch > 10_000 {
		return usagef("--batch needs a number from 1 to 10000")
	}
	if s.key == "" {
		var id [8]byte
		if _, err := io.ReadFull(s.env.Rand, id[:]); err != nil {
			return penstock.Errorf(penstock.Internal, "no randomness for a key: %w", err)
		}
		s.key = "send-" + hex.EncodeToString(id[:])
	}
	s.progress = newProgress(s.env)
	defer s.progress.end()
	reports := newReportReader(input)
	var lines [][]byte
	size := 0
	for {
		report, err := reports.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(s.flush(ctx, lines), err)
		}
		report = withKey(report, s.key+"/"+strconv.Itoa(reports.count))
		if size+len(report) > maxBatchBytes {
			if err := s.flush(ctx, lines); err != nil {
				return err
			}
			lines, size = nil, 0
		}
		lines, size = append(lines, report), size+len(report)
		if len(lines) == s.batch || reports.dry() {
			if err := s.flush(ctx, lines); err != nil {
				return err
			}
			lines, size = nil, 0
		}
	}
}

// flush sends a batch, again and again while it is refused for now. Sending
// twice is safe, as every report has an identity.
func (s *sender) flush(ctx context.Context, lines [][]byte) error {
	if len(lines) == 0 {
		return nil
	}
	for waited, try := time.Duration(0), 0; ; try++ {
		results, err := s.client.SendReports(ctx, lines)
		s.tally.add(results)
		s.progress.show(s.tally)
		if err == nil {
			return nil
		}
		lines = lines[len(results):]
		var unreachable *apiclient.Unreachable
		hopeless := errors.As(err, &unreachable) && (unreachable.Permanent || s.tally.Sent == 0 && try == 0)
		wait := s.backoff(try, penstock.RetryAfterOf(err))
		if hopeless || !penstock.CodeOf(err).Temporary() || waited+wait > s.patience {
			return err
		}
		s.progress.say("%s; trying again in %s", err, wait.Round(time.Millisecond))
		if err := s.env.sleep(ctx, wait); err != nil {
			return err
		}
		waited += wait
	}
}

// backoff doubles from a quarter of a second to 15 s, with jitter, and is never
// shorter than what the gateway asks for.
func (s *sender) backoff(try int, asked time.Duration) time.Duration {
	const longest = 15 * time.Second
	wait := min(250*time.Millisecond<<min(try, 10), longest)
	var random [2]byte
	if _, err := io.ReadFull(s.env.Rand, random[:]); err == nil {
		wait = wait/2 + wait/2*time.Duration(binary.BigEndian.Uint16(random[:]))/(1<<16-1)
	}
	return max(wait, asked)
}

func (t *tally) add(results []apiclient.Result) {
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
			if len(t.first) < shownRejects {
				t.first = append(t.first, fmt.Sprintf("report %d (%s %s): %s: %s", t.Sent, clean(r.Controller), clean(r.Identity()), r.Reason, clean(r.Detail)))
			}
		}
	}
}

// String returns the tally in one line.
func (t *tally) String() string {
	return fmt.Sprintf("%s: %d accepted, %d duplicate, %d rejected", plural(t.Sent, "report"), t.Accepted, t.Duplicate, t.Rejected)
}

// summary prints what became of the reports; the error says that some were
// rejected.
func (s *sender) summary(asJSON bool) error {
	var err error
	if asJSON {
		err = printJSON(s.env.Stdout, &s.tally)
	} else {
		_, err = fmt.Fprintln(s.env.Stdout, s.tally.String())
	}
	if err != nil || s.tally.Rejected == 0 {
		return err
	}
	var text strings.Builder
	text.WriteString(plural(s.tally.Rejected, "report") + " rejected:")
	for _, reason := range slices.Sorted(maps.Keys(s.tally.Reasons)) {
		fmt.Fprintf(&text, " %d %s", s.tally.Reasons[reason], reason)
	}
	for _, one := range s.tally.first {
		text.WriteString("\n  " + one)
	}
	if more := s.tally.Rejected - len(s.tally.first); more > 0 {
		fmt.Fprintf(&text, "\n  and %d more", more)
	}
	return &exitError{ExitRefused, errors.New(text.String())}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
