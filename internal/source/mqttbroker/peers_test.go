package mqttbroker_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/mqttbroker"
	"github.com/penstock/penstock/internal/testkit"
)

// TestMosquittoClients uses Debian's mosquitto_pub and mosquitto_sub, over TLS.
func TestMosquittoClients(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t)
	server := authority.Server(t)
	st := newStand(t, options{config: mqttbroker.Default(), auth: &guard{}, env: func(e *source.Env) {
		e.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{server}}
	}})
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(st.address)
	if err != nil {
		t.Fatal(err)
	}
	run := func(program, password string, args ...string) *exec.Cmd {
		args = append([]string{"-h", host, "-p", port, "--cafile", roots, "-u", "x", "-P", password}, args...)
		return exec.CommandContext(t.Context(), program, args...)
	}
	for i, version := range []string{"mqttv311", "mqttv5"} {
		sub := run("mosquitto_sub", "all", "-V", version, "-i", "reader "+version, "-t", "reports/#", "-q", "1", "-C", "3", "-W", "20")
		var got strings.Builder
		sub.Stdout, sub.Stderr = &got, &got
		connections := st.port.Counted(evidence.Connected)
		if err := sub.Start(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool { return st.port.Counted(evidence.Connected) > connections }, "mosquitto_sub")
		for qos := range 3 {
			seq := 3*i + qos + 1
			out, err := run("mosquitto_pub", "pump-17", "-V", version, "-t", "reports/pump-17", "-q", fmt.Sprint(qos), "-m", reportText("pump-17", seq)).CombinedOutput()
			if err != nil {
				t.Errorf("mosquitto_pub with QoS %d: %v\n%s", qos, err, out)
			}
			testkit.Eventually(t, func() bool { return len(st.desk.Accepted()) == seq }, "the report")
		}
		if err := sub.Wait(); err != nil || strings.Count(got.String(), `"controller"`) != 3 {
			t.Errorf("mosquitto_sub: %v\n%s", err, &got)
		}
		// A refusal has words in version 5.
		st.desk.Refuse("range")
		out, err := run("mosquitto_pub", "pump-17", "-V", version, "-t", "reports/pump-17", "-q", "1", "-m", reportText("pump-17", 99)).CombinedOutput()
		if version == "mqttv5" && !strings.Contains(string(out), "mplementation specific") {
			t.Errorf("a refused report: %v\n%s", err, out)
		}
		st.desk.Refuse("")
		if out, err := run("mosquitto_pub", "wrong", "-V", version, "-t", "a", "-m", "b").CombinedOutput(); err == nil {
			t.Errorf("a wrong password was taken:\n%s", out)
		}
	}
}

// TestNodeClient uses the npm package mqtt, whose connection is cut in the middle:
// each report is accepted once, each is acknowledged, and each comes back.
func TestNodeClient(t *testing.T) {
	t.Parallel()
	peer := filepath.Join("testdata", "peers", "mqtt")
	modules := testkit.NPM(t, peer)
	for _, version := range []int{4, 5} {
		st := newStand(t, options{})
		const n = 60
		node := exec.CommandContext(t.Context(), "node", filepath.Join(peer, "peer.js"), "mqtt://"+st.address, fmt.Sprint(version), fmt.Sprint(n))
		node.Env = append(os.Environ(), "NODE_PATH="+modules)
		node.WaitDelay = time.Second
		out, err := node.CombinedOutput()
		var result struct {
			Acknowledged, Seen int
			Failed             *string
		}
		if err != nil || json.Unmarshal(out, &result) != nil || result.Acknowledged != n || result.Seen != n {
			t.Fatalf("version %d: %v\n%s", version, err, out)
		}
		seen := map[uint64]bool{}
		for _, r := range st.desk.Accepted() {
			if seen[r.Identity.Seq] {
				t.Errorf("version %d: report %d was accepted twice", version, r.Identity.Seq)
			}
			seen[r.Identity.Seq] = true
		}
		if len(seen) != n {
			t.Errorf("version %d: %d reports of %d were accepted", version, len(seen), n)
		}
	}
}
