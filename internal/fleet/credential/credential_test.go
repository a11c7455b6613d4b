package credential_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/fleet/fleettest"
)

// noon is the time in all tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options() credential.Options {
	return credential.Options{Now: func() time.Time { return noon }, Rand: rand.Reader, Limit: 100, Admit: func(credential.Grant) error { return nil }}
}

// open returns the book that is in the table.
func open(t testing.TB, table *fleettest.Table, o credential.Options) *credential.Book {
	t.Helper()
	o.Table = table
	b := credential.NewBook(o)
	if err := table.Scan(func(key, value []byte) error { return credential.Load(b, key, value) }); err != nil {
		t.Fatal(err)
	}
	return b
}

func wantCode(t *testing.T, err error, want penstock.Code) {
	t.Helper()
	if err == nil || penstock.CodeOf(err) != want {
		t.Fatalf("got error %v, want code %v", err, want)
	}
}

func grant(scope ...string) credential.Grant {
	return credential.Grant{Label: "test", Role: penstock.RoleController, Scope: scope}
}

func add(t testing.TB, f *credential.Book, g credential.Grant) (string, credential.Credential) {
	t.Helper()
	token, c, err := f.Add(g)
	if err != nil {
		t.Fatal(err)
	}
	return token, c
}

func TestTokenOpensUntilRevoked(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	token, c := add(t, f, grant("pump-*", "tank-3"))
	if !strings.HasPrefix(token, "pst_"+c.ID+"_") {
		t.Errorf("the token %q does not carry its id %q", token, c.ID)
	}
	for range 2 { // the second time from the table
		p, err := f.Authenticate(penstock.Credential{Token: token, User: "ignored"})
		if err != nil {
			t.Fatal(err)
		}
		if p.Credential != c.ID || p.Role != penstock.RoleController || !p.Scope.Covers("pump-17") || p.Scope.Covers("tank-4") {
			t.Fatalf("principal %+v", p)
		}
		if got := f.List()[0].LastUsed; got != noon.UnixNano() {
			t.Errorf("last used %d", got)
		}
		f = open(t, table, options())
	}
	for key, value := range table.Records {
		if strings.Contains(string(value), token[18:]) || strings.Contains(key, c.ID) {
			t.Fatal("the secret stands in the table")
		}
	}
	if err := f.Revoke(c.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := f.Authenticate(penstock.Credential{Token: token})
		wantCode(t, err, penstock.Unauthenticated)
		if got := f.List()[0].Revoked; got != noon.UnixNano() {
			t.Errorf("revoked at %d", got)
		}
		f = open(t, table, options())
	}
	wantCode(t, f.Revoke("nobody"), penstock.NotFound)
}

func TestTokensThatDoNotOpen(t *testing.T) {
	f := open(t, fleettest.New(), options())
	token, c := add(t, f, grant("*"))
	other, _ := add(t, f, grant("*"))
	_, certificate := add(t, f, credential.Grant{Label: "x", Role: penstock.RoleViewer, Scope: penstock.Scope{"*"}, Subject: "cn:viewer"})
	last := byte('a')
	if token[len(token)-1] == last {
		last = 'b'
	}
	for name, shown := range map[string]string{
		"none":                 "",
		"another prefix":       "xyz_" + token[4:],
		"cut":                  token[:len(token)-1],
		"longer":               token + "a",
		"last letter":          token[:len(token)-1] + string(last),
		"upper case":           strings.ToUpper(token),
		"another's secret":     token[:18] + other[18:],
		"unknown id":           "pst_aaaaaaaaaaaaa_" + token[18:],
		"id of a certificate":  "pst_" + certificate.ID + token[17:],
		"64 KiB":               strings.Repeat("a", 64<<10),
		"digest of no secrets": "pst_" + c.ID + "_" + strings.Repeat("\x00", 52),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Authenticate(penstock.Credential{Token: shown})
			wantCode(t, err, penstock.Unauthenticated)
			if len(err.Error()) > 200 || shown != "" && strings.Contains(err.Error(), shown) {
				t.Errorf("the error repeats what was shown: %.300s", err)
			}
		})
	}
}

func leaf(cn string, uris ...string) *x509.Certificate {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, NotAfter: noon.Add(time.Hour)}
	for _, u := range uris {
		parsed, err := url.Parse(u)
		if err != nil {
			panic(err)
		}
		c.URIs = append(c.URIs, parsed)
	}
	return c
}

func TestCertificateIsKnownByOneName(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	g := grant("pump-17")
	g.Subject = "cn:pump-17"
	token, byCN := add(t, f, g)
	if token != "" {
		t.Error("a certificate has a token")
	}
	g.Subject = "uri:spiffe://water/pump-17"
	_, byURI := add(t, f, g)
	f = open(t, table, options())
	expired := leaf("pump-17")
	expired.NotAfter = noon.Add(-time.Second)
	for name, c := range map[string]struct {
		leaf *x509.Certificate
		want string
	}{
		"common name":            {leaf("pump-17"), byCN.ID},
		"URI":                    {leaf("", "spiffe://water/pump-17"), byURI.ID},
		"URI before common name": {leaf("pump-17", "spiffe://water/pump-17"), byURI.ID},
		"swapped":                {leaf("spiffe://water/pump-17"), ""},
		"common name with URI":   {leaf("pump-17", "spiffe://water/pump-18"), ""},
		"prefix in the name":     {leaf("uri:spiffe://water/pump-17"), ""},
		"two URIs":               {leaf("", "spiffe://water/pump-17", "spiffe://water/pump-18"), ""},
		"no name":                {leaf(""), ""},
		"expired meanwhile":      {expired, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := f.Authenticate(penstock.Credential{Certificates: []*x509.Certificate{c.leaf}})
			if c.want == "" {
				wantCode(t, err, penstock.Unauthenticated)
			} else if err != nil || p.Credential != c.want {
				t.Fatalf("principal %+v, error %v, want %s", p, err, c.want)
			}
		})
	}
	_, err := f.Authenticate(penstock.Credential{Token: "wrong", Certificates: []*x509.Certificate{leaf("pump-17")}})
	wantCode(t, err, penstock.Unauthenticated)

	_, _, err = f.Add(credential.Grant{Label: "second", Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}, Subject: "cn:pump-17"})
	wantCode(t, err, penstock.Conflict)
	if err := f.Revoke(byCN.ID); err != nil {
		t.Fatal(err)
	}
	_, err = f.Authenticate(penstock.Credential{Certificates: []*x509.Certificate{leaf("pump-17")}})
	wantCode(t, err, penstock.Unauthenticated)
	g.Subject = "cn:pump-17"
	_, again := add(t, f, g)
	f = open(t, table, options()) // the revoked one must not stand before its successor
	if p, err := f.Authenticate(penstock.Credential{Certificates: []*x509.Certificate{leaf("pump-17")}}); err != nil || p.Credential != again.ID {
		t.Fatalf("principal %+v, error %v", p, err)
	}
}

func TestGrantsThatAreRefused(t *testing.T) {
	f := open(t, fleettest.New(), options())
	long := strings.Repeat("x", 129)
	for name, g := range map[string]credential.Grant{
		"no label":            {Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}},
		"long label":          {Label: long, Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}},
		"escape in the label": {Label: "a\x1b[31m", Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}},
		"no role":             {Label: "a", Scope: penstock.Scope{"*"}},
		"unknown role":        {Label: "a", Role: "root", Scope: penstock.Scope{"*"}},
		"no scope":            {Label: "a", Role: penstock.RoleAdmin},
		"empty pattern":       {Label: "a", Role: penstock.RoleAdmin, Scope: penstock.Scope{""}},
		"wide scope":          {Label: "a", Role: penstock.RoleAdmin, Scope: make(penstock.Scope, 257)},
		"slash in the scope":  {Label: "a", Role: penstock.RoleAdmin, Scope: penstock.Scope{"a/*"}},
		"hash in the scope":   {Label: "a", Role: penstock.RoleAdmin, Scope: penstock.Scope{"#"}},
		"long pattern":        {Label: "a", Role: penstock.RoleAdmin, Scope: penstock.Scope{long}},
		"subject without":     {Label: "a", Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}, Subject: "pump-17"},
		"unknown kind":        {Label: "a", Kind: "rune", Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}},
		"subject of a key":    {Label: "a", Kind: credential.Key, Role: penstock.RoleController, Scope: penstock.Scope{"*"}, Subject: "cn:a"},
		"key that may look":   {Label: "a", Kind: credential.Key, Role: penstock.RoleViewer, Scope: penstock.Scope{"*"}},
		"no subject":          {Label: "a", Kind: credential.Certificate, Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}},
		"empty subject":       {Label: "a", Role: penstock.RoleAdmin, Scope: penstock.Scope{"*"}, Subject: "cn:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := f.Add(g)
			wantCode(t, err, penstock.Invalid)
		})
	}
	if got := len(f.List()); got != 0 {
		t.Errorf("%d credentials were made", got)
	}
}

func TestFirstAdministrator(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	token, err := f.EnsureAdmin(nil)
	if err != nil || token == "" {
		t.Fatal(token, err)
	}
	p, err := f.Authenticate(penstock.Credential{Token: token})
	if err != nil || p.Role != penstock.RoleAdmin || !p.Scope.Covers("anything") {
		t.Fatal(p, err)
	}
	f = open(t, table, options())
	if again, err := f.EnsureAdmin(nil); err != nil || again != "" {
		t.Fatal("a second administrator was made", err)
	}
	if err := f.Revoke(p.Credential); err != nil {
		t.Fatal(err)
	}
	if again, err := f.EnsureAdmin(nil); err != nil || again == "" {
		t.Fatal("no administrator after the first was revoked", err)
	}
}

func TestCredentialLimitForgetsOnlyTheRevoked(t *testing.T) {
	now := noon
	o := options()
	o.Now = func() time.Time { now = now.Add(time.Second); return now }
	o.Limit = 3
	table := fleettest.New()
	f := open(t, table, o)
	var ids []string
	for range 3 {
		_, c := add(t, f, grant("*"))
		ids = append(ids, c.ID)
	}
	_, _, err := f.Add(grant("*"))
	wantCode(t, err, penstock.TooLarge)
	for _, i := range []int{2, 1} {
		if err := f.Revoke(ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	_, made := add(t, f, grant("*"))
	want := []string{ids[0], ids[1], made.ID} // the one revoked first is forgotten
	for range 2 {
		var got []string
		for _, c := range f.List() {
			got = append(got, c.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("credentials %v, want %v", got, want)
		}
		f = open(t, table, o)
	}
}

func TestTableFailures(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	token, c := add(t, f, grant("*"))
	table.Fail = errors.New("the disk is gone")
	if _, _, err := f.Add(grant("*")); err == nil {
		t.Error("a credential that is not durable was given out")
	}
	if len(f.List()) != 1 {
		t.Error("a credential that is not durable is listed")
	}
	if err := f.Revoke(c.ID); err == nil || !strings.Contains(err.Error(), "again") {
		t.Errorf("the error %v does not say that it must be done again", err)
	}
	_, err := f.Authenticate(penstock.Credential{Token: token})
	wantCode(t, err, penstock.Unauthenticated)
	table.Fail = nil
	if err := f.Revoke(c.ID); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, table, options()).Authenticate(penstock.Credential{Token: token})
	wantCode(t, err, penstock.Unauthenticated)

	o := options()
	o.Rand = strings.NewReader("")
	if _, _, err := open(t, fleettest.New(), o).Add(grant("*")); err == nil {
		t.Error("a token without randomness")
	}
}

// A revocation that returned holds for every request that begins after it.
func TestRevokeUnderLoad(t *testing.T) {
	f := open(t, fleettest.New(), options())
	token, c := add(t, f, grant("*"))
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = f.Authenticate(penstock.Credential{Token: token})
				}
			}
		})
	}
	if err := f.Revoke(c.ID); err != nil {
		t.Error(err)
	}
	_, err := f.Authenticate(penstock.Credential{Token: token})
	close(stop)
	senders.Wait()
	wantCode(t, err, penstock.Unauthenticated)
}

func BenchmarkAuthenticate(b *testing.B) {
	f := open(b, fleettest.New(), options())
	token, _ := add(b, f, grant("*"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Authenticate(penstock.Credential{Token: token}); err != nil {
			b.Fatal(err)
		}
	}
}

// Whoever is to have the first token has it before the credential is there: what
// fails between the two is mended by the next start.
func TestFirstTokenIsHandedOverFirst(t *testing.T) {
	table := fleettest.New()
	handed := ""
	keep := func(token string) error {
		if len(table.Records) > 0 {
			t.Error("the credential is written before its token is kept")
		}
		handed = token
		return nil
	}
	table.Fail = errors.New("the power is gone")
	if _, err := open(t, table, options()).EnsureAdmin(keep); err == nil || handed == "" {
		t.Fatalf("handed over %q, %v", handed, err)
	}
	table.Fail = nil
	f, lost := open(t, table, options()), handed
	if token, err := f.EnsureAdmin(keep); err != nil || token != handed || token == lost {
		t.Fatalf("%q was handed over, and %q made: %v", handed, token, err)
	}
	if _, err := f.Authenticate(penstock.Credential{Token: handed}); err != nil {
		t.Error(err)
	}
	table = fleettest.New()
	f = open(t, table, options())
	if _, err := f.EnsureAdmin(func(string) error { return errors.New("no space left") }); err == nil || len(table.Records) > 0 {
		t.Errorf("a credential without a token: %v", err)
	}
}
