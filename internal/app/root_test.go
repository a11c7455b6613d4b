package app

import (
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/logging"
)

// An installed gateway never serves as root unless it is told to.
func TestRootIsRefused(t *testing.T) {
	const root, somebody = 0, 1000
	quiet := logging.Default()
	quiet.Format = logging.Off
	logs, err := logging.Open(quiet, logging.Options{Program: "penstock"})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	for _, test := range []struct {
		name    string
		account int
		data    string
		unit    bool // started by systemd
		allowed bool
		want    bool // refused
	}{
		{"somebody", somebody, "/var/lib/penstock", true, false, false},
		{"root, by a unit", root, "data", true, false, true},
		{"root, where it is installed", root, "/var/lib/penstock", false, false, true},
		{"root, told to", root, "/var/lib/penstock", true, true, false},
		{"root, for a trial", root, "data", false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("INVOCATION_ID", map[bool]string{true: "0af7"}[test.unit])
			o := Options{Config: settings.Config{Data: test.data}, AllowRoot: test.allowed, Logs: logs}
			err := checkRoot(o, test.account)
			if refused := err != nil; refused != test.want || refused && penstock.CodeOf(err) != penstock.Forbidden {
				t.Errorf("it says %v", err)
			}
		})
	}
}
