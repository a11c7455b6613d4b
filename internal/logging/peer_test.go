package logging_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// freePort returns a port that was free a moment ago, of TCP or UDP.
func freePort(t *testing.T, network string) string {
	t.Helper()
	var address net.Addr
	if network == "udp" {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		address = socket.LocalAddr()
	} else {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		address = ln.Addr()
	}
	_, port, _ := net.SplitHostPort(address.String())
	return port
}

// rsyslog is a configuration that listens on UDP, TCP and TLS and writes what it
// parsed as an object a line.
const rsyslog = `
global(workDirectory="%[1]s" DefaultNetstreamDriverCAFile="%[1]s/ca.pem"
  DefaultNetstreamDriverCertFile="%[5]s" DefaultNetstreamDriverKeyFile="%[6]s")
module(load="imudp") module(load="imptcp") module(load="mmpstrucdata")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"
  gnutlsPriorityString="MinProtocol=TLSv1.3")
template(name="parsed" type="list" option.jsonf="on") {
  property(outname="via" name="inputname" format="jsonf") property(outname="pri" name="pri" format="jsonf")
  property(outname="host" name="hostname" format="jsonf") property(outname="program" name="app-name" format="jsonf")
  property(outname="pid" name="procid" format="jsonf") property(outname="id" name="msgid" format="jsonf")
  property(outname="at" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="data" name="$!rfc5424-sd!penstock@32473" format="jsonf")
  property(outname="text" name="msg" format="jsonf") }
ruleset(name="all") { action(type="mmpstrucdata") action(type="omfile" file="%[1]s/out" template="parsed" asyncWriting="off") }
input(type="imudp" address="127.0.0.1" port="%[2]s" name="udp" ruleset="all")
input(type="imptcp" address="127.0.0.1" port="%[3]s" name="tcp" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="%[4]s" name="tls" ruleset="all")
`

// startRsyslog runs rsyslog until stop is called or the test ends.
func startRsyslog(t *testing.T, dir string) (stop func()) {
	t.Helper()
	cmd := exec.Command("rsyslogd", "-n", "-f", filepath.Join(dir, "conf"), "-i", filepath.Join(dir, "pid"))
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	if cmd.Err != nil {
		cmd.Path, cmd.Err = "/usr/sbin/rsyslogd", nil
	}
	var said page
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run make tools", err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("rsyslog said: %s", said.String())
		}
	})
	return stop
}

// parsed is a message as rsyslog parsed it.
type parsed struct {
	Via, Pri, Host, Program, PID, ID, At, Text, Data string

	params map[string]string // of Data, which is an object in a string
}

// TestRsyslogReceives sends lines by UDP, TCP and TLS to rsyslog and compares what
// it parsed, and sees that one that stops is an alarm until it runs again.
func TestRsyslogReceives(t *testing.T) {
	dir := t.TempDir()
	authority := testkit.NewAuthority(t)
	cert, key := testkit.WriteFiles(t, authority.Server(t))
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	udp, tcp, secure := freePort(t, "udp"), freePort(t, "tcp"), freePort(t, "tcp")
	conf := fmt.Sprintf(rsyslog, dir, udp, tcp, secure, cert, key)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := startRsyslog(t, dir)
	c := logging.Default()
	c.Format = logging.Off
	for name, to := range map[string]string{"udp": "udp://127.0.0.1:" + udp, "tcp": "tcp://127.0.0.1:" + tcp, "tls": "tls://127.0.0.1:" + secure} {
		c.Outputs = append(c.Outputs, logging.Output{Name: name, Syslog: &logging.Syslog{To: to, Facility: "local3", TLS: tlsfiles.Client{CA: filepath.Join(dir, "ca.pem")}}})
	}
	l, err := logging.Open(c, logging.Options{Program: "penstock"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	log := l.Logger().With(logging.Component, "sources", logging.Source, "line-3")
	send := func(seq int) {
		log.Warn("refused", logging.Controller, "Pumpe]\"Süd", logging.Line, "ttyS1", logging.Epoch, 3, logging.Seq, seq, logging.Stage, "decode", logging.Err, "two\nlines")
	}
	want := parsed{
		Pri: fmt.Sprint(19*8 + 4), Program: "penstock", PID: fmt.Sprint(os.Getpid()), ID: "sources", Text: "refused: two lines",
		params: map[string]string{"component": "sources", "source": "line-3", "controller": "Pumpe]\"Süd", "line": "ttyS1", "epoch": "3", "stage": "decode", "error": "two lines"},
	}
	up := func() bool {
		for _, o := range l.Outputs() {
			if o.Failing || !o.Known {
				return false
			}
		}
		return true
	}
	// Over UDP nothing tells that rsyslog is not up yet: the streams do.
	testkit.Eventually(t, up, "all three outputs are up")
	send(1)
	expect(t, dir, want, "1", began)
	stop()
	testkit.Eventually(t, func() bool {
		send(2)
		down := 0
		for _, o := range l.Outputs() {
			if o.Failing && o.Why != "" {
				down++
			}
		}
		return down == 3
	}, "all three outputs are down")
	startRsyslog(t, dir)
	testkit.Eventually(t, up, "all three outputs are up again")
	send(3)
	expect(t, dir, want, "3", began)
}

// expect waits until a message with that sequence number came on all ways, and
// compares it.
func expect(t *testing.T, dir string, want parsed, seq string, began time.Time) {
	t.Helper()
	seen := map[string]bool{}
	testkit.Eventually(t, func() bool {
		out, _ := os.ReadFile(filepath.Join(dir, "out"))
		for line := range strings.Lines(string(out)) {
			var got parsed
			if json.Unmarshal([]byte(line), &got) != nil || json.Unmarshal([]byte(got.Data), &got.params) != nil {
				continue // half a line, or rsyslog's own
			}
			if got.params["seq"] != seq || seen[got.Via] {
				continue
			}
			seen[got.Via] = true
			compare(t, got, want, began)
		}
		return len(seen) == 3
	}, "message "+seq+" on all three ways")
}

func compare(t *testing.T, got, want parsed, began time.Time) {
	t.Helper()
	if at, err := time.Parse(time.RFC3339Nano, got.At); err != nil || at.Before(began.Add(-time.Millisecond)) || at.After(time.Now()) {
		t.Errorf("%s: the time is %s: %v", got.Via, got.At, err)
	}
	delete(got.params, "seq")
	if !maps.Equal(got.params, want.params) {
		t.Errorf("%s: %q, not %q", got.Via, got.params, want.params)
	}
	host, _ := os.Hostname()
	if got.Host != host || got.Pri != want.Pri || got.Program != want.Program || got.PID != want.PID || got.ID != want.ID || got.Text != want.Text {
		t.Errorf("%s: %+v, not %+v", got.Via, got, want)
	}
}
