package app

import (
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
)

// failing is a table of the fleet whose writes can fail.
type failing struct {
	rows map[string][]byte
	err  error
}

func (f *failing) Put(key, value []byte) error {
	if f.err == nil {
		f.rows[string(key)] = value
	}
	return f.err
}

func (f *failing) PutAll(map[string][]byte) error { return f.err }

func (f *failing) Delete([]byte) error { return f.err }

func (f *failing) Scan(yield func(key, value []byte) error) error {
	for key, value := range f.rows {
		if err := yield([]byte(key), value); err != nil {
			return err
		}
	}
	return nil
}

// A crash at any moment of the first start leaves a node that the next start opens
// to its administrator.
func TestACrashWhileTheFirstTokenIsMade(t *testing.T) {
	dir, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	table := &failing{rows: map[string][]byte{}, err: errors.New("the power is gone")}
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
	table.err = nil
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
	if _, file, err := start(); err != nil || file != "" || len(table.rows) != 1 {
		t.Errorf("a file that the operator took away is made again: %q, %v", file, err)
	}
}
