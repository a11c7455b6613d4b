package offline_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source/opcua/scan"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

// What a scan writes is configuration that holds, whatever the server calls its
// things, and although no point could hold them.
func TestWhatAnOPCUAScanWritesHolds(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("open sesame"), 0o600); err != nil {
		t.Fatal(err)
	}
	found := scan.Found{
		Session: session.Settings{
			Endpoint: "opc.tcp://127.0.0.1:4840", User: "gate\"way\\",
			Security: session.Security{Policy: "Basic256Sha256", Trust: "sha256:" + strings.Repeat("0a", 32)},
		},
		Variables: []scan.Variable{
			{Node: `ns=2;s="Pump"."Flow: 1"`, Path: []string{"Pump/17", "Flow"}, Type: "float64", Array: -1, Unit: "m3/h"},
			{Node: "ns=2;s=b\u00e9\U0001F4A7", Path: []string{"Pump-17", "Flow"}, Type: "float64", Array: -1, Told: "gal\n/min: #"},
			{Node: "ns=2;s=c", Path: []string{"lonely\x00\u2028\u0085 # {point}: 'a'"}, Type: "string", Array: -1},
			{Node: "ns=2;i=4", Path: []string{"P", strings.Repeat("\u00e9", 100)}, Type: "int32", Array: 4},
			{Node: "ns=2;i=5", Path: []string{"P", strings.Repeat("\u00e9", 100)}, Type: "int32", Array: -1},
			{Node: "ns=2;i=6", Path: []string{"", ""}, Array: -1, Reason: "BadNotReadable"},
		},
	}
	for _, variables := range [][]scan.Variable{
		found.Variables,
		{{Node: "ns=2;i=7", Path: []string{"P", "S"}, Type: "ExtensionObject", Array: -1, Reason: "which no point can hold"}},
	} {
		found.Variables = variables
		var out bytes.Buffer
		if err := found.Write(&out, secret); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "penstock.yaml")
		if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		c := settings.Default()
		if _, err := config.Load(&c, config.Sources{File: file}); err != nil {
			t.Errorf("%v in\n%s", err, &out)
		} else if n := len(c.Sources[0].OPCUA.Groups[0].Nodes); n != len(variables) {
			t.Errorf("%d of %d variables are in\n%s", n, len(variables), &out)
		}
	}
}
