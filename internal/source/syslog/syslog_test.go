package syslog_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/source/syslog"
	"github.com/penstock/penstock/internal/testkit"
)

// device writes each report's text as a message of RFC 5424.
type device struct{ net.Conn }

func (d device) Send(_ context.Context, r *penstock.Report) error {
	line := fmt.Sprintf("<134>1 %s %s pump - - - flow is %v\n",
		time.Unix(0, r.Samples[0].SourceTime).UTC().Format(time.RFC3339Nano), r.Controller, r.Samples[0].Value)
	_, err := d.Write([]byte(line))
	return err
}

// bench is a source on addresses of its own.
type bench struct {
	mu    sync.Mutex
	bound map[string]string
}

func (b *bench) at(t *testing.T, key string) string {
	var address string
	testkit.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		address = b.bound[key]
		return address != ""
	}, "the address of "+key)
	return address
}

func (b *bench) make(t *testing.T, c syslog.Config, env source.Env) *syslog.Source {
	b.mu.Lock()
	b.bound = map[string]string{}
	b.mu.Unlock()
	env.Bound = func(key, address string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.bound[key] = address
	}
	s, err := syslog.New(c, env)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	authority := testkit.NewAuthority(t)
	for network, c := range map[string]syslog.Config{
		"udp": {UDP: "127.0.0.1:0"}, "tcp": {TCP: "127.0.0.1:0"}, "tls": {TLS: "127.0.0.1:0"},
	} {
		c.Controllers = []string{"*"}
		t.Run(network, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
				b := &bench{}
				dial := func(t *testing.T) net.Conn {
					var conn net.Conn
					var err error
					address := b.at(t, "sources.test."+network)
					if network == "tls" {
						conn, err = tls.Dial("tcp", address, &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"})
					} else {
						conn, err = net.Dial(network, address)
					}
					if err != nil {
						t.Fatal(err)
					}
					return conn
				}
				return sourcetest.Subject{
					Unacknowledged: true,
					New: func(t *testing.T, env source.Env) penstock.Source {
						env.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{authority.Server(t, "localhost")}}
						return b.make(t, c, env)
					},
					Peer: func(t *testing.T) sourcetest.Peer { return device{dial(t)} },
					Garble: func(t *testing.T) {
						conn := dial(t)
						defer conn.Close()
						if _, err := conn.Write([]byte("this has no priority\n")); err != nil {
							t.Fatal(err)
						}
					},
				}
			})
		})
	}
}

// one runs a source, sends it messages over UDP, and returns the first reports.
func one(t *testing.T, c syslog.Config, book *evidence.Book, count int, messages ...string) []penstock.Report {
	t.Helper()
	c.UDP = "127.0.0.1:0"
	b, desk := &bench{}, sourcetest.NewDesk(nil)
	env := sourcetest.Env(book, idle{}, nil)
	env.Now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	s := b.make(t, c, env)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Run(ctx, desk); err != nil {
			t.Error(err)
		}
	})
	defer work.Wait()
	defer stop()
	conn, err := net.Dial("udp", b.at(t, "sources.test.udp"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, m := range messages {
		if _, err := conn.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, func() bool { return len(desk.Accepted()) == count }, "the reports")
	port := book.Port("test/udp")
	testkit.Eventually(t, func() bool {
		return port.Counted(evidence.Received)+port.Counted(evidence.Malformed) >= uint64(len(messages))
	}, "all messages")
	return desk.Accepted()
}

type idle struct{}

func (idle) OK()            {}
func (idle) Failing(string) {}

func TestBothStandards(t *testing.T) {
	book := evidence.NewBook(time.Now)
	got := one(t, syslog.Config{Controllers: []string{"*"}, Zone: "Europe/Berlin"}, book, 5,
		`<165>1 2026-02-28T22:14:15.003000001Z switch-3 lldp 77 ID47 [x@1 y="z"] port 7 is down`,
		"<13>1 - switch-3 - - - - \ufeffno time, no application",
		`<34>Feb 28 22:14:15 modem-9 kernel: carrier lost`,
		`<34>Feb 28 22:14:15 modem-9 kernel: carrier lost`, // twice in a second: two events
		"<14>just words",
	)
	var lines strings.Builder
	for _, r := range got {
		s := r.Samples[0]
		fmt.Fprintf(&lines, "%s %d %s %d %d %s\n", r.Controller, r.Identity.Seq, s.Point, s.SourceTime, s.Native, s.Value)
	}
	const want = `switch-3 1 syslog/lldp 1772316855003000001 165 port 7 is down
switch-3 2 syslog/- 0 13 no time, no application
modem-9 1 syslog/kernel 1772313255000000000 34 carrier lost
modem-9 2 syslog/kernel 1772313255000000000 34 carrier lost
127.0.0.1 1 syslog/- 0 14 just words
`
	if lines.String() != want {
		t.Errorf("got\n%swant\n%s", &lines, want)
	}
}

func TestRules(t *testing.T) {
	book := evidence.NewBook(time.Now)
	one(t, syslog.Config{
		Controllers: []string{"modem-*"},
		Rules: []syslog.Rule{
			{Match: `rssi[= ](?P<value>-?[0-9.]+)`, Signal: "rssi", Controller: "pump-{host}"},
			{Match: `(?P<unit>\w+): carrier lost`, Event: "lost", Controller: "{unit}"},
		},
	}, book, 2, "<14>1 - modem-9 - - - - rssi=-87.5 dBm", "<14>1 - modem-9 - - - - pump7: carrier lost", "<14>1 - stranger - - - - rssi=-20 dBm", "noise")
	if got := book.Controller("pump-modem-9").Readings(evidence.RSSI); len(got) != 1 || got[0].Value != -87.5 {
		t.Errorf("signal %v", got)
	}
	if book.Controller("pump7").Counted(evidence.Lost) != 1 {
		t.Error("the lost carrier was not counted")
	}
	if sender := book.Controller("modem-9").Summary(); sender.Counts[evidence.Received] != 2 || sender.Heard.IsZero() {
		t.Errorf("the sender's page: %+v", sender)
	}
	port := book.Port("test/udp")
	if port.Counted(evidence.Refused) != 1 || port.Counted(evidence.Malformed) != 1 {
		t.Errorf("counts %v", book.Ports())
	}
	if bad := port.BadFrames(); len(bad) != 2 || !strings.Contains(bad[0].Why, `127.0.0.1:`) || !strings.Contains(bad[0].Why, `"stranger"`) || string(bad[1].Bytes) != "noise" {
		t.Errorf("bad frames %v", bad)
	}
	if _, known := book.FindController("pump-stranger"); known {
		t.Error("a message that is refused says something of a link")
	}
}

// RFC 6587: counted messages and lines, and what breaks both.
func TestStreams(t *testing.T) {
	book, b, desk := evidence.NewBook(time.Now), &bench{}, sourcetest.NewDesk(nil)
	s := b.make(t, syslog.Config{TCP: "127.0.0.1:0", Controllers: []string{"*"}}, sourcetest.Env(book, idle{}, nil))
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Run(ctx, desk); err != nil {
			t.Error(err)
		}
	})
	defer work.Wait()
	defer stop()
	send := func(text string) {
		conn, err := net.Dial("tcp", b.at(t, "sources.test.tcp"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	counted := "<14>1 - a - - - - two\nlines"
	send(fmt.Sprintf("<14>1 - a - - - - one\n%d %s<14>1 - a - - - - three\r\n<14>1 - a - - - - without an end", len(counted), counted))
	testkit.Eventually(t, func() bool { return len(desk.Accepted()) == 4 }, "four messages")
	if got := desk.Accepted()[1].Samples[0].Value.String(); got != "two\nlines" {
		t.Errorf("the counted message is %q", got)
	}
	port := book.Port("test/tcp")
	for i, bad := range []string{"99999999 <14>", "70000 <14>", "12x", "40 <14>cut short", strings.Repeat("x", 70_000)} {
		send(bad)
		testkit.Eventually(t, func() bool { return port.Counted(evidence.Framing) == uint64(i+1) }, "the bad stream "+bad[:3])
	}
}

func TestSettings(t *testing.T) {
	good := syslog.Config{UDP: "127.0.0.1:0", Controllers: []string{"*"}}
	for name, c := range map[string]struct {
		change func(*syslog.Config)
		want   string
	}{
		"no address":    {func(c *syslog.Config) { c.UDP = config.AddressOff }, "none of udp, tcp and tls"},
		"no scope":      {func(c *syslog.Config) { c.Controllers = nil }, "controllers"},
		"a wrong name":  {func(c *syslog.Config) { c.Controller = "{hots}" }, "{hots}"},
		"a wrong zone":  {func(c *syslog.Config) { c.Zone = "Atlantis" }, "Atlantis"},
		"idle rule":     {func(c *syslog.Config) { c.Rules = []syslog.Rule{{Match: "x"}} }, "does nothing"},
		"wrong event":   {func(c *syslog.Config) { c.Rules = []syslog.Rule{{Match: "x", Event: "bang"}} }, "bang"},
		"wrong signal":  {func(c *syslog.Config) { c.Rules = []syslog.Rule{{Match: "x", Signal: "loud"}} }, "loud"},
		"no value":      {func(c *syslog.Config) { c.Rules = []syslog.Rule{{Match: "x", Signal: "rssi"}} }, "(?P<value>"},
		"no expression": {func(c *syslog.Config) { c.Rules = []syslog.Rule{{Match: "(", Event: "lost"}} }, "rule 1"},
	} {
		bad := good
		c.change(&bad)
		if err := bad.Validate(); penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
