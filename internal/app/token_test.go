package app

import (
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/datadir"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/fleettest"
)

// A crash at any moment of the first start leaves a node that the next start opens
// to its administrator.
func TestACrashWhileTheFirstTokenIsMade(t *testing.T) {
	dir, err := datadir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	table := fleettest.New()
	table.Fail = errors.New("the power is gone")
	start := func() (*gateway, string, error) {
		f, err := fleet.Open(table, fleet.Options{Now: time.Now, Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		g := &gateway{dir: dir, node: &node{fleet: f}}
		file, err := g.firstToken()
		return g, file, err
	}
	if _, _, err := start(); err == nil {
		t.Fatal("a token was made without a credential")
	}
	table.Fail = nil
	g, file, err := start()
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := g.fleet.Authenticate(penstock.Credential{Token: strings.TrimSpace(string(token))}); err != nil || p.Role != penstock.RoleAdmin {
		t.Errorf("the token in the file opens nothing: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, file, err := start(); err != nil || file != "" || len(table.Records) != 1 {
		t.Errorf("a file that the operator took away is made again: %q, %v", file, err)
	}
}
