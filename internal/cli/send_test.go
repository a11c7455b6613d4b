package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/penstock/penstock/internal/cli/shell"
)

func report(controller string, seq int) string {
	return fmt.Sprintf(`{"controller":%q,"epoch":1,"seq":%d,"samples":[{"point":"flow","time":"2026-11-22T06:00:00Z","value":12.5}]}`, controller, seq)
}

func TestSendReadsEveryForm(t *testing.T) {
	one, two, three := report("a", 1), report("a", 2), report("b", 1)
	pretty := strings.ReplaceAll(one, ",", ",\n  ")
	for name, test := range map[string]struct{ input, want string }{
		"object":        {one, "1 report: 1 accepted, 0 duplicate, 0 rejected"},
		"pretty object": {pretty, "1 report: 1 accepted"},
		"array":         {" \n[" + one + ",\n" + two + " , " + pretty + "]\n", "3 reports: 2 accepted, 1 duplicate, 0 rejected"},
		"NDJSON":        {one + "\n\n" + two + "\r\n" + three, "3 reports: 3 accepted"},
		"empty":         {" \n", "0 reports: 0 accepted"},
		"empty array":   {"[]", "0 reports: 0 accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			newFake(t).run(test.input, "send").want(t, shell.ExitOK, test.want, "")
		})
	}
}

func TestSendTwiceIsSafe(t *testing.T) {
	f := newFake(t)
	file := filepath.Join(t.TempDir(), "reports.ndjson")
	if err := os.WriteFile(file, []byte(report("a", 1)+"\n"+report("a", 2)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.run("", "send", file).want(t, shell.ExitOK, "2 reports: 2 accepted, 0 duplicate", "")
	f.run("", "send", file, "--json").want(t, shell.ExitOK, `"duplicate": 2`, "")
}

// Only a report that nothing tells apart from its resend gets a key.
func TestSendGivesKeysWhereNothingElseIsUnique(t *testing.T) {
	f := newFake(t)
	natural := `{"controller":"a","samples":[{"point":"p","time":1,"value":1}]}`
	keyed := `{"controller":"a","key":"mine","samples":[{"point":"p","value":1}]}`
	timeless := `{"controller":"a","samples":[{"point":"p","time":1,"value":1},{"point":"q","value":1}]}`
	input := strings.Join([]string{natural, keyed, report("a", 1), timeless, timeless, `{"samples":5}`}, "\n")
	f.run(input, "send", "--key", "import").want(t, shell.ExitOK, "6 reports: 6 accepted", "")
	want := strings.Join([]string{natural, keyed, report("a", 1),
		`{"key":"import/4",` + timeless[1:], `{"key":"import/5",` + timeless[1:], `{"samples":5}`}, "\n") + "\n"
	if got := f.bodies[0]; got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
	f.run(timeless, "send")
	if !strings.HasPrefix(f.bodies[1], `{"key":"send-`) {
		t.Errorf("without --key it sent %s", f.bodies[1])
	}
}

func TestSendCutsBatches(t *testing.T) {
	f := newFake(t)
	var input strings.Builder
	for i := range 25 {
		input.WriteString(report("a", i+1) + "\n")
	}
	f.run(input.String(), "send", "--batch", "10").want(t, shell.ExitOK, "25 reports: 25 accepted", "")
	if len(f.bodies) != 3 || strings.Count(f.bodies[2], "\n") != 5 {
		t.Errorf("sent %d batches", len(f.bodies))
	}
	large := strings.Replace(report("a", 1), "12.5", `"`+strings.Repeat("x", 300<<10)+`"`, 1)
	f.bodies = nil
	f.run(large+large, "send")
	if len(f.bodies) != 2 {
		t.Errorf("two large reports went in %d batches", len(f.bodies))
	}
}

// A pipe that has nothing more for now does not hold back what it gave.
func TestSendDoesNotWaitForMoreInput(t *testing.T) {
	f := newFake(t)
	input := iotest.OneByteReader(strings.NewReader(report("a", 1) + "\n" + report("a", 2) + "\n"))
	command{stdin: input}.run("send", "--data", f.data).want(t, shell.ExitOK, "2 reports: 2 accepted", "")
	if len(f.bodies) != 2 {
		t.Errorf("sent %d batches, want one for each time the input ran dry", len(f.bodies))
	}
}

func TestSendTriesAgain(t *testing.T) {
	f := newFake(t)
	f.refuse = []func(http.ResponseWriter){
		problem(503, "full", "The spool is full.", "7"), problem(429, "limited", "Too fast.", ""),
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	}
	got := f.run(report("a", 1), "send")
	got.want(t, shell.ExitOK, "1 report: 1 accepted", "The spool is full. Do this; trying again in 7s")
	if len(got.slept) != 4 || got.slept[0] != 7*time.Second || got.slept[3] > 2*time.Second || got.slept[3] < time.Second {
		t.Errorf("waited %v", got.slept)
	}
}

func TestSendGivesUp(t *testing.T) {
	f := newFake(t)
	for range 9 {
		f.refuse = append(f.refuse, problem(503, "unavailable", "The gateway is starting.", "10"))
	}
	got := f.run(report("a", 1), "send", "--retry-for", "25s")
	got.want(t, shell.ExitLater, "0 reports", "The gateway is starting. Do this")
	if len(got.slept) != 2 {
		t.Errorf("waited %v", got.slept)
	}
}

// What was judged before a problem is not sent again.
func TestSendGoesOnBehindAPartialAnswer(t *testing.T) {
	f := newFake(t)
	f.run(report("a", 1)+report("a", 999)+report("a", 3), "send").want(t, shell.ExitOK, "3 reports: 3 accepted, 0 duplicate", "The spool is behind; trying again")
	if want := report("a", 999) + "\n" + report("a", 3) + "\n"; f.bodies[1] != want {
		t.Errorf("sent again\n%s", f.bodies[1])
	}
}

func TestSendTellsRejections(t *testing.T) {
	f := newFake(t)
	input := strings.Repeat(report("bad", 7)+"\n", 7) + report("a", 1)
	got := f.run(input, "send")
	got.want(t, shell.ExitRefused, "8 reports: 1 accepted, 0 duplicate, 7 rejected", "7 reports rejected: 7 conflict\n  report 1 (bad 1/7): conflict: known with \ufffd another content\n")
	if !strings.Contains(got.stderr, "and 2 more") {
		t.Errorf("got %s", got.stderr)
	}
	f.run(report("unread", 1), "send").want(t, shell.ExitRefused, "1 rejected", "1 report rejected: 1 malformed\n  report 1: malformed: line 1\n")
	f.run(input, "send", "--json").want(t, shell.ExitRefused, `"conflict": 7`, "7 reports rejected")
}

func TestSendRefusesBadInput(t *testing.T) {
	good := report("a", 1)
	for name, test := range map[string]struct{ input, out, message string }{
		"syntax":           {good + "\n{\"a\":}\n" + good, "1 report: 1 accepted", "report 2, after byte 108 of the input, is not valid JSON"},
		"cut off":          {good + "\n{\"a\":", "1 report: 1 accepted", "report 2, after byte 108 of the input, is not valid JSON: unexpected EOF"},
		"no object":        {good + "\n5", "1 report: 1 accepted", "report 2 is not a JSON object"},
		"array cut off":    {"[" + good, "1 report: 1 accepted", "report 2, after byte"},
		"behind the array": {"[" + good + "] x", "1 report: 1 accepted", "something follows the array"},
		"endless":          {`{"a":"` + strings.Repeat("x", 5<<20), "0 reports", "report 1 is longer than 4194304 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			newFake(t).run(test.input, "send").want(t, shell.ExitFailed, test.out, test.message)
		})
	}
	command{stdin: iotest.ErrReader(os.ErrDeadlineExceeded)}.run("send", "--url", "https://127.0.0.1:1").want(t, shell.ExitFailed, "0 reports", "the input cannot be read")
}
