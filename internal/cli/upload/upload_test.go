package upload_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/upload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway stores what it is sent, and fails as it is told to: an answer is cut,
// lost or refused.
type gateway struct {
	stored []string
	fail   func(n int) (judged int, answered bool, err error) // of a batch of n reports
}

func (g *gateway) SendReports(_ context.Context, lines [][]byte) ([]apiclient.Result, error) {
	judged, answered, err := g.fail(len(lines))
	var results []apiclient.Result
	for _, line := range lines[:judged] {
		result := apiclient.Result{Result: penstock.Accepted.String()}
		if slices.Contains(g.stored, string(line)) {
			result.Result = penstock.Duplicate.String()
		} else {
			g.stored = append(g.stored, string(line))
		}
		results = append(results, result)
	}
	if !answered {
		return nil, err
	}
	return results, err
}

// Whatever fails on the way, every report of the input is stored once and in
// order, and the tally counts each once.
func TestEveryReportArrivesOnce(t *testing.T) {
	later := penstock.RetryLater(penstock.Unavailable, time.Second, "not now")
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(0, 40).Draw(t, "reports")
		var want []string
		for i := range count {
			want = append(want, fmt.Sprintf(`{"controller":"a","epoch":1,"seq":%d,"samples":[]}`, i+1))
		}
		input := strings.Join(want, rapid.SampledFrom([]string{"\n", "", " ", "\r\n\n"}).Draw(t, "between"))
		if rapid.Bool().Draw(t, "array") {
			input = "[" + strings.Join(want, ", ") + "]"
		}
		g := &gateway{fail: func(n int) (int, bool, error) {
			switch rapid.IntRange(0, 4).Draw(t, "fate") {
			case 0:
				return 0, false, later // refused, or lost on the way there
			case 1:
				return n, false, later // stored, and the answer lost
			case 2:
				return rapid.IntRange(0, n-1).Draw(t, "judged"), true, later // cut short
			}
			return n, true, nil
		}}
		reader := rapid.SampledFrom([]func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
		}).Draw(t, "reader")
		tally, err := upload.Send(context.Background(), reader(strings.NewReader(input)), upload.Options{
			Gateway: g, Batch: rapid.IntRange(1, 12).Draw(t, "batch"), Patience: 1000 * time.Hour, Rand: rand.NewChaCha8([32]byte{}),
			Sleep:    func(context.Context, time.Duration) error { return nil },
			Progress: func(upload.Tally) {}, Say: func(string) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(g.stored, want) {
			t.Fatalf("stored %d reports %q, want %d", len(g.stored), g.stored, count)
		}
		if tally.Sent != count || tally.Accepted+tally.Duplicate != count || tally.Rejected != 0 {
			t.Fatalf("counted %+v of %d", tally, count)
		}
	})
}

func TestSendEndsWithItsContext(t *testing.T) {
	g := &gateway{fail: func(int) (int, bool, error) { return 0, false, penstock.RetryLater(penstock.Full, 0, "full") }}
	_, err := upload.Send(context.Background(), strings.NewReader(`{}`), upload.Options{
		Gateway: g, Batch: 1, Patience: time.Hour, Rand: rand.NewChaCha8([32]byte{}),
		Sleep:    func(context.Context, time.Duration) error { return context.Canceled },
		Progress: func(upload.Tally) {}, Say: func(string) {},
	})
	if err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

// FuzzSend asserts that any input ends, that only whole JSON objects are sent,
// and that memory stays bounded by the length of one report.
func FuzzSend(f *testing.F) {
	f.Add(`{"controller":"a","samples":[{"point":"p","value":1}]}`)
	f.Add("[{},{}] {}")
	f.Add("{\n}{\"a\":[{}]}\n[")
	f.Fuzz(func(t *testing.T, input string) {
		g := &gateway{fail: func(n int) (int, bool, error) { return n, true, nil }}
		_, _ = upload.Send(context.Background(), strings.NewReader(input), upload.Options{
			Gateway: g, Batch: 3, Rand: rand.NewChaCha8([32]byte{}),
			Progress: func(upload.Tally) {}, Say: func(string) {},
		}) // most inputs are wrong, and are refused
		for _, line := range g.stored {
			if !json.Valid([]byte(line)) || line[0] != '{' || strings.Contains(line, "\n") {
				t.Errorf("sent %q", line)
			}
		}
	})
}
