package credential_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/fleet/fleettest"
)

// exported returns the credentials of a book for another node.
func exported(t testing.TB, f *credential.Book) []byte {
	t.Helper()
	text, err := f.ExportCredentials()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// adopted has a book import credentials, and checks what that changed.
func adopted(t testing.TB, f *credential.Book, text []byte, want credential.Adopted) {
	t.Helper()
	if got, err := f.ImportCredentials(text); err != nil || got != want {
		t.Fatalf("imported %+v, %v, want %+v", got, err, want)
	}
}

// TestCredentialsHoldAtEveryNode has two nodes know the same ones.
func TestCredentialsHoldAtEveryNode(t *testing.T) {
	one := open(t, fleettest.New(), options())
	token, c := add(t, one, grant("pump-*"))
	revoked, gone := add(t, one, grant("old"))
	if err := one.Revoke(gone.ID); err != nil {
		t.Fatal(err)
	}
	key := grant("logger-1")
	key.Kind = credential.Key
	shown, _ := add(t, one, key)
	certificate := grant("*")
	certificate.Subject = "cn:gateway-9"
	add(t, one, certificate)
	text := exported(t, one)
	if strings.Contains(string(text), token) || strings.Contains(string(text), token[len(token)-52:]) {
		t.Error("a token can be read in the export")
	}
	table := fleettest.New()
	var admitted []string
	o := options()
	o.Admit = func(g credential.Grant) error {
		admitted = append(admitted, g.Scope...)
		return nil
	}
	two := open(t, table, o)
	own, _ := add(t, two, grant("its-own"))
	adopted(t, two, text, credential.Adopted{Added: 4})
	adopted(t, two, text, credential.Adopted{Unchanged: 4})
	for range 2 { // the second time from the table
		for _, good := range []penstock.Credential{{Token: token}, {Token: own}, {Certificates: []*x509.Certificate{leaf("gateway-9")}}} {
			if _, err := two.Authenticate(good); err != nil {
				t.Errorf("%.30s: %v", good.Token, err)
			}
		}
		_, err := two.Authenticate(penstock.Credential{Token: revoked})
		wantCode(t, err, penstock.Unauthenticated)
		number, _, _ := strings.Cut(shown, ":")
		var id uint64
		if _, err := fmt.Sscanf(number, "%x", &id); err != nil {
			t.Fatal(err)
		}
		secret, p, err := two.Key(id)
		if err != nil || !strings.HasSuffix(shown, fmt.Sprintf("%x", secret)) || !p.Scope.Covers("logger-1") {
			t.Errorf("the key: %v, %v", p, err)
		}
		two = open(t, table, options())
	}
	if !bytes.Contains(exported(t, two), []byte(c.ID)) {
		t.Error("what was taken over does not go on to the next node")
	}
	if slices.Sort(admitted); !slices.Equal(admitted, []string{"*", "its-own", "logger-1", "pump-*"}) {
		t.Errorf("the controllers of %q are registered", admitted)
	}
	// A revocation follows, and does not come undone.
	if err := one.Revoke(c.ID); err != nil {
		t.Fatal(err)
	}
	adopted(t, two, exported(t, one), credential.Adopted{Revoked: 1, Unchanged: 3})
	adopted(t, two, text, credential.Adopted{Unchanged: 4})
	for range 2 {
		_, err := two.Authenticate(penstock.Credential{Token: token})
		wantCode(t, err, penstock.Unauthenticated)
		two = open(t, table, options())
	}
}

// TestCredentialsThatAreNotTakenOver changes nothing.
func TestCredentialsThatAreNotTakenOver(t *testing.T) {
	one := open(t, fleettest.New(), options())
	_, c := add(t, one, grant("pump-*"))
	g := grant("*")
	g.Subject = "cn:gateway-9"
	_, certificate := add(t, one, g)
	text := string(exported(t, one))
	for name, wrong := range map[string]struct {
		text string
		code penstock.Code
	}{
		"no JSON":           {"controller,state", penstock.Invalid},
		"an unknown field":  {strings.Replace(text, `"label"`, `"tag":1,"label"`, 1), penstock.Invalid},
		"another version":   {strings.Replace(text, `"version":1`, `"version":2`, 1), penstock.Unsupported},
		"no id":             {strings.Replace(text, c.ID, "", 1), penstock.Invalid},
		"an id in capitals": {strings.Replace(text, c.ID, strings.ToUpper(c.ID), 1), penstock.Invalid},
		"no kind":           {strings.Replace(text, `"digest"`, `"secret":"aGVsbG8=","digest"`, 1), penstock.Invalid},
		"a short digest":    {strings.Replace(text, `"digest":"`, `"digest":"AAAA`, 1), penstock.Invalid},
		"no role":           {strings.Replace(text, `"role":"controller"`, `"role":"boss"`, 1), penstock.Invalid},
		"no scope":          {strings.Replace(text, `["pump-*"]`, `[]`, 1), penstock.Invalid},
		"no time":           {strings.Replace(text, `"created":`, `"created":-`, 1), penstock.Invalid},
		"one twice":         {strings.Replace(text, `[{`, `[`+text[strings.Index(text, `{"id"`):strings.Index(text, `},{`)]+`},{`, 1), penstock.Invalid},
		"a subject twice":   {strings.Replace(text, `]}`, `,`+strings.Replace(text[strings.LastIndex(text, `{"id"`):strings.LastIndex(text, `]}`)], certificate.ID, "aaaaaaaaaaaaa", 1)+`]}`, 1), penstock.Invalid},
		"other rights here": {strings.Replace(text, `["pump-*"]`, `["*"]`, 1), penstock.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			if wrong.text == text {
				t.Fatal("nothing is wrong")
			}
			two := open(t, fleettest.New(), options())
			if wrong.code == penstock.Conflict {
				adopted(t, two, []byte(text), credential.Adopted{Added: 2})
			}
			before := len(two.List())
			_, err := two.ImportCredentials([]byte(wrong.text))
			wantCode(t, err, wrong.code)
			if len(two.List()) != before {
				t.Errorf("%d credentials were taken over", len(two.List())-before)
			}
		})
	}
	two := open(t, fleettest.New(), options())
	add(t, two, g)
	_, err := two.ImportCredentials([]byte(text))
	wantCode(t, err, penstock.Conflict)
	o := options()
	o.Limit = 1
	three := open(t, fleettest.New(), o)
	_, err = three.ImportCredentials([]byte(text))
	wantCode(t, err, penstock.TooLarge)
	if len(two.List()) != 1 || len(three.List()) != 0 {
		t.Error("a part was taken over")
	}
}

// FuzzImportCredentials has what was taken over be what can be exported and opened
// again.
func FuzzImportCredentials(f *testing.F) {
	one := open(f, fleettest.New(), options())
	add(f, one, grant("pump-*"))
	g := grant("*")
	g.Kind = credential.Key
	add(f, one, g)
	f.Add(exported(f, one))
	f.Add([]byte(`{"version":1,"credentials":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		table := fleettest.New()
		two := open(t, table, options())
		done, err := two.ImportCredentials(text)
		if code := penstock.CodeOf(err); (code == penstock.Invalid || code == penstock.Conflict) && len(two.List()) > 0 {
			t.Fatalf("%v, and %d credentials were taken over", err, len(two.List()))
		}
		again := open(t, table, options())
		if got := len(again.List()); got != done.Added {
			t.Fatalf("%d were added, and %d are there", done.Added, got)
		}
		if _, err := open(t, fleettest.New(), options()).ImportCredentials(exported(t, again)); err != nil {
			t.Fatalf("what was taken over is refused: %v", err)
		}
	})
}
