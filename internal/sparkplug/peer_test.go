package sparkplug_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/internal/testkit"
)

// node runs the script of the peer: another implementation of the payloads.
func node(t *testing.T, args ...string) string {
	t.Helper()
	const peer = "testdata/peers/sparkplug-payload"
	cmd := exec.Command("node", append([]string{filepath.Join(peer, "peer.js")}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+testkit.NPM(t, peer))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestReadsWhatTheNPMPackageWrites(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	want := map[string]string{
		"NBIRTH": "north:gw int8=-5@0 int16=-1234@0 int32=-70000@0 int64=-7@0 uint8=250@0 uint16=65000@0 uint32=7@0 uint64=8@0 " +
			"float=1.5@0 double=0.1@0 bool=true@0 text=grün@0 clock=1780315200000@0 null=none@0/Bad",
		"NDATA":  "north:gw float=2.5@1/UncertainNoCommunicationLastUsableValue float=2.25@0!4",
		"NDEATH": "",
	}
	for line := range strings.Lines(node(t)) {
		kind, written, _ := strings.Cut(strings.TrimSpace(line), " ")
		payload, err := hex.DecodeString(written)
		if err != nil {
			t.Fatal(err)
		}
		got := p.send(kind, payload)
		if kind == "NDEATH" {
			if len(got) != 1 || len(got[0].Samples) != 14 || p.count(evidence.Lost) != 1 {
				t.Errorf("the death gave %s", show(got))
			}
			continue
		}
		p.want(got, want[kind])
	}
	if p.token != 3 {
		t.Errorf("%d messages", p.token)
	}
}

func TestTheNPMPackageReadsOurCommand(t *testing.T) {
	p := newPlant(t, sparkplug.Config{Rebirth: []string{"*"}})
	p.send("NDATA", message(ms(0), 1, alias(1).double(1)))
	if len(p.last.Commands) != 1 || p.last.Commands[0].Topic != "spBv1.0/north/NCMD/gw" {
		t.Fatalf("commands %+v", p.last.Commands)
	}
	var got struct {
		Timestamp int64
		Metrics   []struct {
			Name, Type string
			Value      bool
		}
	}
	text := node(t, "decode", hex.EncodeToString(p.last.Commands[0].Payload))
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Timestamp != noon.UnixMilli() || len(got.Metrics) != 1 || got.Metrics[0].Name != "Node Control/Rebirth" || got.Metrics[0].Type != "Boolean" || !got.Metrics[0].Value {
		t.Errorf("it reads %s", text)
	}
}
