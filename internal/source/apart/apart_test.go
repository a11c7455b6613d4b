package apart_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/apart"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/link"
)

const password = "open sesame"

// newApart returns a source of lines that runs apart.
func newApart(t *testing.T, address string, memory uint64, env source.Env) penstock.Source {
	t.Helper()
	text, err := json.Marshal(settings{Address: address, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	s, err := apart.New(apart.Options{Args: []string{childWord}, Config: text, Memory: memory}, env)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// free returns an address that nobody listens at.
func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// sender is a controller.
type sender struct {
	net.Conn
	in *bufio.Scanner
}

func dial(t *testing.T, address string) *sender {
	t.Helper()
	var c net.Conn
	testkit.Eventually(t, func() (ok bool) {
		var err error
		c, err = net.Dial("tcp", address)
		return err == nil
	}, "a connection")
	t.Cleanup(func() { c.Close() })
	s := &sender{c, bufio.NewScanner(c)}
	s.in.Buffer(nil, 1<<20)
	return s
}

// say sends a line and returns the answer, empty when the connection broke.
func (s *sender) say(line string) string {
	if _, err := fmt.Fprintln(s, line); err != nil || !s.in.Scan() {
		return ""
	}
	return s.in.Text()
}

// Send implements sourcetest.Peer.
func (s *sender) Send(ctx context.Context, r *penstock.Report) error {
	defer context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })()
	switch answer := s.say(line(r)); answer {
	case "ok":
		return nil
	case "refused":
		return sourcetest.ErrRefused
	case "later":
		return sourcetest.ErrLater
	default:
		return fmt.Errorf("the answer is %q", answer)
	}
}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		address := free(t)
		return sourcetest.Subject{
			New:    func(t *testing.T, env source.Env) penstock.Source { return newApart(t, address, 0, env) },
			Peer:   func(t *testing.T) sourcetest.Peer { return dial(t, address) },
			Garble: func(t *testing.T) { dial(t, address).say("{no report}") },
		}
	})
}

// stand is a set with a source of lines that runs apart.
type stand struct {
	desk    *sourcetest.Desk
	book    *evidence.Book
	log     *text
	address string

	mu     sync.Mutex
	states []string
	bound  []string
}

func (s *stand) OK()                { s.note("ok") }
func (s *stand) Failing(why string) { s.note(why) }

func (s *stand) note(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, state)
}

// times returns how often a state was told that contains the text.
func (s *stand) times(part string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.states {
		if strings.Contains(state, part) {
			n++
		}
	}
	return n
}

// text is written by many and read meanwhile.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *text) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *text) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newStand(t *testing.T, memory uint64, change func(*source.Env)) *stand {
	t.Helper()
	s := &stand{desk: sourcetest.NewDesk(nil), book: evidence.NewBook(time.Now), log: &text{}, address: free(t)}
	env := sourcetest.Env(s.book, s, nil)
	env.Log, env.Files = slog.New(slog.NewTextHandler(s.log, nil)), t.TempDir()
	env.Bound = func(key, address string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bound = append(s.bound, key+"="+address)
	}
	if change != nil {
		change(&env)
	}
	set := source.NewSet(source.Options{Env: env, Handler: s.desk, Status: func(string) (source.Status, func()) { return s, func() {} }})
	set.Apply([]source.Spec{{Name: "test", New: func(env source.Env) (penstock.Source, error) { return newApart(t, s.address, memory, env), nil }}})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := set.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		work.Wait()
		if t.Failed() {
			t.Logf("the log: %s", s.log)
		}
	})
	testkit.Eventually(t, func() bool { return s.times("ok") > 0 }, "the source at work")
	return s
}

func line(r *penstock.Report) string { return hex.EncodeToString(link.AppendReport(nil, r)) }

func report(n uint64) string {
	return line(&penstock.Report{
		Controller: "pump-17", Identity: penstock.SequenceIdentity(1, n),
		Samples: []penstock.Sample{{Point: "flow", SourceTime: 1_700_000_000_000_000_000 + int64(n), Value: penstock.FloatValue(0.5)}},
	})
}

// A fault in a goroutine that nobody guards ends the process, and nothing else.
func TestACrashIsNamedAndSurvived(t *testing.T) {
	s := newStand(t, 0, nil)
	c := dial(t, s.address)
	if got := c.say(report(1)); got != "ok" {
		t.Fatalf("the answer is %q", got)
	}
	first := c.say("pid")
	s.desk.Close()
	fmt.Fprintln(c, report(2)) // handed over, and not decided when the process dies
	testkit.Eventually(t, func() bool { return s.desk.Envelopes() == 2 }, "the second report at the desk")
	if got := dial(t, s.address).say("panic at the third byte"); got != "" {
		t.Errorf("a dead process answers %q", got)
	}
	testkit.Eventually(t, func() bool { return s.times("ok") == 2 }, "the source at work again")
	s.desk.Open()
	c = dial(t, s.address)
	if second := c.say("pid"); second == first || second == "" {
		t.Errorf("process %s was before, and now %s", first, second)
	}
	for n := range uint64(3) {
		if got := c.say(report(n + 1)); got != "ok" {
			t.Errorf("report %d is answered with %q", n+1, got)
		}
	}
	if got := len(s.desk.Accepted()); got != 3 {
		t.Errorf("%d reports are accepted, not 3", got)
	}
	if s.times("the process of the source has ended: exit status 2: panic: a fault of a library: at the third byte") != 1 {
		t.Errorf("the states are %q", s.states)
	}
	for _, part := range []string{"level=ERROR", "lines_test.go", "goroutine", "pid=" + first} {
		if !strings.Contains(s.log.String(), part) {
			t.Errorf("the log does not tell %q", part)
		}
	}
}

// A process that wants all memory there is gets its share, and dies.
func TestMemoryIsBounded(t *testing.T) {
	s := newStand(t, 128<<20, nil)
	if got := dial(t, s.address).say("eat"); got != "" {
		t.Errorf("a process without memory answers %q", got)
	}
	testkit.Eventually(t, func() bool { return s.times("the process of the source has ended") == 1 }, "the end of the process")
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := s.states[1]; !regexp.MustCompile("memory|allocate|pthread_create failed").MatchString(why) { // what asks for memory first is the runtime's affair
		t.Errorf("it ended because %s", why)
	}
}

// A failure of the source is not one of its process, and what it remembers stays.
func TestAFailureIsNoCrash(t *testing.T) {
	s := newStand(t, 0, nil)
	c := dial(t, s.address)
	if got := c.say("meet abc"); got != "nobody is new" {
		t.Errorf("where the record stands on the node: %s", got)
	}
	pid := c.say("pid")
	c.say("fail for a while")
	testkit.Eventually(t, func() bool { return s.times("for a while") == 1 && s.times("ok") == 2 }, "the source at work again")
	c = dial(t, s.address)
	if again := c.say("pid"); again != pid {
		t.Errorf("process %s was before, and now %s", pid, again)
	}
	if runs := c.say("runs"); runs != "2" {
		t.Errorf("it remembers %s runs, not 2", runs)
	}
}

// What a source retains, the one after it recalls; but not what may be the cause that
// processes die.
func TestAProcessLeavesItsStateToTheNext(t *testing.T) {
	s := newStand(t, 0, nil)
	for i, c := range []struct{ recalls, keeps string }{{"", "one"}, {"one", "two"}, {"two", ""}, {"", ""}} {
		testkit.Eventually(t, func() bool { return s.times("ok") == i+1 }, "the source at work again")
		d := dial(t, s.address)
		if got := d.say("recall"); got != "recalls "+c.recalls {
			t.Errorf("process %d %s, not %q", i+1, got, c.recalls)
		}
		if c.keeps != "" {
			d.say("keep " + c.keeps)
			d.say("keep " + c.keeps)
		}
		d.say("panic now")
	}
}

// desk answers what a node is asked.
type desk struct{}

func (desk) Authenticate(c penstock.Credential) (*penstock.Principal, error) {
	if c.Token != "good" {
		return nil, penstock.Errorf(penstock.Unauthenticated, "not this one")
	}
	return &penstock.Principal{Credential: "id", Role: penstock.RoleController, Scope: penstock.Scope{"a*", "b"}}, nil
}

func (desk) Key(id uint64) ([]byte, *penstock.Principal, error) {
	return fmt.Appendf(nil, "secret %d", id), &penstock.Principal{Credential: "key"}, nil
}

func (desk) Marks(controller string, epoch uint64) source.Marks {
	return source.Marks{Accepted: uint64(len(controller)), Committed: 2, LastEpoch: epoch}
}

func (desk) Meet(controller string, epoch uint64) error {
	return penstock.RetryLater(penstock.Unavailable, time.Second, fmt.Sprint(controller, epoch))
}

func (desk) Await(context.Context, string, uint64) error { return nil }

func TestTheNodeIsAsked(t *testing.T) {
	s := newStand(t, 0, func(env *source.Env) {
		env.Newcomers = desk{}
		env.Auth, env.Keys, env.Marks = desk{}, desk{}, desk{}
		env.Lets = netip.Addr.IsLoopback
	})
	c := dial(t, s.address)
	for ask, want := range map[string]string{
		"who good":       "&{id controller [a* b]} internal <nil>",
		"who bad":        "<nil> unauthenticated not this one",
		"key":            "secret 7&{key  []} <nil>",
		"marks abc":      "{3 2 3}",
		"meet abc":       "abc3 <nil>",
		"lets 127.0.0.1": "true",
		"lets 192.0.2.1": "false",
	} {
		if got := c.say(ask); got != want {
			t.Errorf("%s: %q, not %q", ask, got, want)
		}
	}
	if got := c.say("packet"); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("a socket for datagrams: %q", got)
	}
	if want := []string{"sources.test=" + s.address}; !slices.Equal(s.bound, want) {
		t.Errorf("bound are %q, not %q", s.bound, want)
	}
	c.say("log a word")
	testkit.Eventually(t, func() bool { return strings.Contains(s.log.String(), "a word") }, "the record in the log")
	for _, part := range []string{`msg="a word"`, "level=WARN", "source=test", "line=3", "g.took=1s", "g.error=no"} {
		if !strings.Contains(s.log.String(), part) {
			t.Errorf("the log has not %q: %s", part, s.log)
		}
	}
}

// Nothing of the configuration, nor of the gateway's environment, can be read from
// outside of the process.
func TestSecretsStayInThePair(t *testing.T) {
	t.Setenv("PENSTOCK_SINKS_PASSWORD", password)
	t.Setenv("NOTIFY_SOCKET", "/run/notify")
	s := newStand(t, 0, nil)
	if got := dial(t, s.address).say("env"); strings.Contains(got, password) || strings.Contains(got, "NOTIFY_SOCKET") || !strings.HasSuffix(got, childWord+" test") {
		t.Errorf("environment and arguments are %s", got)
	}
}

// What was noted in the process stands in the gateway's book.
func TestEvidenceComesOver(t *testing.T) {
	s := newStand(t, 0, nil)
	c := dial(t, s.address)
	c.say(report(1))
	c.say("no report")
	page := s.book.Port("test")
	testkit.Eventually(t, func() bool { return len(page.BadFrames()) == 1 }, "the bad frame")
	if f := page.BadFrames()[0]; string(f.Bytes) != "no report" || f.Event != evidence.Malformed || f.Size != 9 || f.Why == "" {
		t.Errorf("the bad frame is %+v", f)
	}
	if got := page.Summary(); got.Counts[evidence.Received] != 1 || got.Peer != c.LocalAddr().String() || got.Heard.IsZero() {
		t.Errorf("the page is %+v", got)
	}
}

// When the source ends nothing of its process stays behind.
func TestNothingStaysBehind(t *testing.T) {
	var pid string
	t.Run("runs", func(t *testing.T) {
		s := newStand(t, 0, nil)
		pid = dial(t, s.address).say("pid")
		if _, err := os.Stat("/proc/" + pid); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Errorf("process %s is still there", pid)
	}
}
