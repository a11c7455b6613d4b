package opcua_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
)

// marked is an array that becomes poison on the way: with a negative length, at
// which the library panics in a goroutine of its own.
var (
	marked   = []uint16{0xBEEF, 0xBEEF, 0xBEEF}
	harmless = []byte{0x85, 3, 0, 0, 0, 0xEF, 0xBE, 0xEF, 0xBE, 0xEF, 0xBE}
	poison   = []byte{0x85, 0xF0, 0xFF, 0xFF, 0xFF, 0xEF, 0xBE, 0xEF, 0xBE, 0xEF, 0xBE}
)

// poisoned returns the address of a server that sends as the given one does, but
// for what is marked.
func poisoned(t *testing.T, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() { l.Close(); work.Wait() })
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", u.Host)
			if err != nil {
				c.Close()
				continue
			}
			work.Go(func() { defer server.Close(); _, _ = io.Copy(server, c) }) // either end may break
			work.Go(func() { defer c.Close(); spoil(c, server) })
		}
	})
	return "opc.tcp://" + l.Addr().String()
}

// spoil copies, and makes poison of what is marked.
func spoil(to io.Writer, from io.Reader) {
	buffer := make([]byte, 1<<20)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := to.Write(bytes.ReplaceAll(buffer[:n], harmless, poison)); err != nil {
			return
		}
	}
}

// states keeps what was told of each source.
type states struct {
	mu   sync.Mutex
	told map[string][]string
}

type stateOf struct {
	*states
	name string
}

func (s stateOf) OK() { s.Failing("ok") }
func (s stateOf) Failing(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[s.name] = append(s.told[s.name], why)
}

func (s *states) of(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told[name])
}

// at returns the settings of a source of one controller behind an endpoint.
func at(endpoint, controller string) opcua.Config {
	c := settings(endpoint)
	c.Keepalive = config.Duration(time.Minute) // the servers say nothing by themselves
	c.Groups[0].Nodes = []opcua.Node{{Node: flowNode, Controller: controller, Point: "flow"}}
	return c
}

// A server whose bytes end the process of its source ends nothing else. The process is
// named, and started again; when the server is asked for the message once more it
// dies once more, and then goes on behind it. The other sources do not notice, and
// but for the deadly message all is stored, once.
func TestPoisonEndsOneSourceAlone(t *testing.T) {
	broken, healthy := newFake(t), newFake(t)
	desk, book, log := sourcetest.NewDesk(nil), evidence.NewBook(time.Now), &bytes.Buffer{}
	told := &states{told: map[string][]string{}}
	env := sourcetest.Env(book, nil, nil)
	env.Log, env.Files = slog.New(slog.NewTextHandler(log, nil)), t.TempDir()
	set := source.NewSet(source.Options{Env: env, Handler: desk, Status: func(name string) (source.Status, func()) { return stateOf{told, name}, func() {} }})
	spec := func(name string, c opcua.Config) source.Spec {
		return source.Spec{Name: name, New: func(env source.Env) (penstock.Source, error) { return newApart(c, env) }}
	}
	set.Apply([]source.Spec{spec("broken", at(poisoned(t, broken.endpoint()), "pump-17")), spec("healthy", at(healthy.endpoint(), "tank-2"))})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := set.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); work.Wait() })
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the states: %q, what is stored: %+v, the log: %s", told.told, desk.Accepted(), log)
		}
	})

	oks := func(name string) (n int) {
		for _, state := range told.of(name) {
			if state == "ok" {
				n++
			}
		}
		return n
	}
	stored := func(controller string, values ...float64) {
		t.Helper()
		testkit.Eventually(t, func() bool {
			var got []float64
			for _, r := range desk.Accepted() {
				for _, s := range r.Samples {
					if r.Controller == controller && s.Value.Kind() == penstock.Float64 {
						got = append(got, s.Value.Float())
					}
				}
			}
			return slices.Equal(got, values)
		}, "the values of "+controller+", each once")
	}
	testkit.Eventually(t, func() bool { return oks("broken") == 1 && oks("healthy") == 1 }, "both sources at work")
	broken.change(sent, flowNode, value(1.0, base))
	healthy.change(sent, flowNode, value(1.0, base))
	stored("pump-17", 1)
	stored("tank-2", 1)

	broken.change(sent, flowNode, value(marked, base+1))
	broken.change(sent, flowNode, value(3.0, base+2)) // the server holds it while there is nobody
	for i := range 5 {
		healthy.change(sent, flowNode, value(float64(i+2), base+int64(i+2)))
	}
	stored("tank-2", 1, 2, 3, 4, 5, 6)
	testkit.Eventually(t, func() bool { return oks("broken") == 2 }, "the broken source at work again")
	broken.change(sent, flowNode, value(4.0, base+3))
	stored("pump-17", 1, 3, 4)
	broken.with(func() {
		if broken.created != 1 {
			t.Errorf("%d subscriptions were made: the first was not taken over", broken.created)
		}
	})
	if page := book.Port("broken"); page.Counted(evidence.Gap) != 1 || len(page.BadFrames()) != 1 {
		t.Errorf("%d gaps and %d bad messages are counted for one", page.Counted(evidence.Gap), len(page.BadFrames()))
	}

	stop()
	crashes := slices.DeleteFunc(told.of("broken"), func(state string) bool { return state == "ok" })
	if len(crashes) != 2 || !strings.Contains(crashes[0], "the process of the source has ended: exit status 2: panic: reflect.MakeSlice: negative len") {
		t.Errorf("the states of the broken source are %q", told.of("broken"))
	}
	if got := told.of("healthy"); !slices.Equal(got, []string{"ok"}) {
		t.Errorf("the states of the healthy source are %q", got)
	}
	if text := log.String(); !strings.Contains(text, "source=broken") || !strings.Contains(text, "gopcua") {
		t.Errorf("the log does not tell of whom and where: %s", text)
	}
}
