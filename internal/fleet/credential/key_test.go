package credential_test

import (
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/fleet/fleettest"
)

func TestKeyHoldsUntilRevoked(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	g := grant("logger-*")
	g.Kind = credential.Key
	shown, c := add(t, f, g)
	number, digits, _ := strings.Cut(shown, ":")
	id, err := strconv.ParseUint(number, 16, 64)
	if err != nil || len(number) != 16 || len(digits) != 64 || c.Kind != credential.Key {
		t.Fatalf("the key %q of %+v has another form", shown, c)
	}
	for range 2 { // the second time from the table
		secret, p, err := f.Key(id)
		if err != nil || hex.EncodeToString(secret) != digits {
			t.Fatalf("the secret is %x, error %v", secret, err)
		}
		if p.Credential != c.ID || p.Role != penstock.RoleController || !p.Scope.Covers("logger-3") || p.Scope.Covers("pump-3") {
			t.Fatalf("principal %+v", p)
		}
		if got := f.List()[0].LastUsed; got != noon.UnixNano() {
			t.Errorf("last used %d", got)
		}
		f = open(t, table, options())
	}
	if err := f.Revoke(c.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, _, err := f.Key(id)
		wantCode(t, err, penstock.Unauthenticated)
		f = open(t, table, options())
	}
}

// A key and a token are no substitute for each other, whatever one makes of
// their parts.
func TestKeyIsNoTokenAndTokenNoKey(t *testing.T) {
	f := open(t, fleettest.New(), options())
	g := grant("*")
	g.Kind = credential.Key
	key, c := add(t, f, g)
	token, held := add(t, f, grant("*"))
	for _, shown := range []string{key, "pst_" + c.ID + token[len("pst_"+held.ID):], "pst_" + c.ID + "_" + strings.Repeat("a", 52)} {
		_, err := f.Authenticate(penstock.Credential{Token: shown})
		wantCode(t, err, penstock.Unauthenticated)
	}
	ids := 0
	for n := range uint64(2) {
		if _, _, err := f.Key(n); err == nil {
			ids++
		}
	}
	if ids > 0 {
		t.Error("a key was found by a number that nobody was given")
	}
}
