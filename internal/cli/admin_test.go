package cli_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/cli/shell"
)

const fleet = `{"controllers":[
{"name":"pump-17","state":"registered","first_seen":"2026-11-22T06:00:00Z","last_seen":"2026-11-22T07:00:00Z","source":"https","last_identity":"1/17","points":3},
{"name":"tank-2","state":"held","points":0}],
"credentials":[{"id":"7Q4KX2","name":"north","kind":"token","role":"controller","scope":["north-*","pump-17"],"created":"2026-11-22T06:00:00Z"}]}`

func TestControllersList(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/controllers"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, fleet) }
	list := f.run("", "controllers", "list", "p*")
	list.want(t, shell.ExitOK, list.stdout, "1 controller held: let one report with 'penstock controllers admit NAME'.")
	if q := f.requests[0].URL.RawQuery; q != "controller=p%2A" {
		t.Errorf("asked for %s", q)
	}
	credentials := f.run("", "controllers", "list", "--credentials")
	asJSON := f.run("", "controllers", "list", "--json")
	golden(t, "controllers.txt", list.stdout+credentials.stdout+asJSON.stdout)
	f.run("", "controllers", "list", "--credentials", "p").want(t, shell.ExitUsage, "", "leave out p")
}

func TestControllersAdd(t *testing.T) {
	f := newFake(t)
	f.answers["POST /v1/controllers"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"7Q4KX2","name":"x","token":"pst_secret"}`)
	}
	got := f.run("", "controllers", "add", "pump-17")
	if got.want(t, shell.ExitOK, "pst_secret\n", "Its token, shown this once:"); got.stdout != "pst_secret\n" {
		t.Errorf("standard output holds more than the token: %q", got.stdout)
	}
	f.run("", "controllers", "add", "anna", "--role", "viewer", "--scope", "*", "--scope", "a", "--json").want(t, shell.ExitOK, `"token": "pst_secret"`, "")
	want := []string{`{"name":"pump-17","role":"controller","scope":["pump-17"]}`, `{"name":"anna","role":"viewer","scope":["*","a"]}`}
	for i := range want {
		if f.bodies[i] != want[i] || f.requests[i].Header.Get("Content-Type") != "application/json" {
			t.Errorf("sent %s, want %s", f.bodies[i], want[i])
		}
	}
	f.run("", "controllers", "add", "anna", "--role", "boss").want(t, shell.ExitUsage, "", `"boss" is no role`)
	f.run("", "controllers", "add", "anna", "--role", "viewer").want(t, shell.ExitUsage, "", "say what a viewer may see")
	f.run("", "controllers", "add").want(t, shell.ExitUsage, "", "accepts 1 arg")
	f.run("", "controllers", "add", "a", "--key", "--certificate", "a.crt").want(t, shell.ExitUsage, "", "[certificate key]")
	f.run("", "controllers", "add", "a", "--certificate", "admin_test.go").want(t, shell.ExitFailed, "", "admin_test.go holds no certificate in PEM")
	f.answers["POST /v1/controllers"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }
	f.run("", "controllers", "add", "a").want(t, shell.ExitFailed, "", "answered without a token")
}

func TestControllersRevokeAndAdmit(t *testing.T) {
	f := newFake(t)
	done := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	f.answers["DELETE /v1/controllers/7Q4KX2"] = done
	f.answers["POST /v1/controllers/a%20b%2F%3F/admit"] = done
	f.run("", "controllers", "revoke", "7Q4KX2").want(t, shell.ExitOK, "", "Credential 7Q4KX2 is revoked.")
	f.run("", "controllers", "admit", "a b/?").want(t, shell.ExitOK, "", "a b/? may report now.")
	f.run("", "controllers", "revoke", "none").want(t, shell.ExitRefused, "", "HTTP 404")
	f.run("", "controllers", "admit", "none").want(t, shell.ExitRefused, "", "HTTP 404")
}

func TestControllersSheet(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/controllers/export"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "controller\npump-17\n") }
	f.run("", "controllers", "export", "p*").want(t, shell.ExitOK, "controller\npump-17\n", "")
	if q := f.requests[0].URL.RawQuery; q != "controller=p%2A" {
		t.Errorf("asked for %s", q)
	}
	f.answers["POST /v1/controllers/import"] = func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"rows":2,"controllers":1,"points":2,"dry_run":%t}`, r.URL.RawQuery == "dry_run=1")
	}
	f.write(t, "plant.csv", "controller\npump-17\n")
	file := filepath.Join(f.data, "plant.csv")
	f.run("", "controllers", "import", file).want(t, shell.ExitOK, "2 rows: 1 controller registered, 2 points declared.\n", "")
	f.run("controller\n", "controllers", "import", "-", "--dry-run").want(t, shell.ExitOK, "2 rows: 1 controller would be registered, 2 points would be declared.\n", "")
	if f.bodies[1] != "controller\npump-17\n" || f.bodies[2] != "controller\n" || f.requests[2].Header.Get("Content-Type") != "text/csv" {
		t.Errorf("sent %q", f.bodies)
	}
	f.answers["POST /v1/controllers/import"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"title":"Title","code":"invalid","detail":"Nothing was imported.","rows":[{"line":2,"column":"type","detail":"it is \u001b[2J"},{"line":7,"detail":"cut"}]}`)
	}
	wrong := f.run("x", "controllers", "import", "-")
	wrong.want(t, shell.ExitRefused, "", "-:2: type: it is \ufffd[2J\n-:7: cut\n")
	wrong.want(t, shell.ExitRefused, "", "Nothing was imported")
	f.run("", "controllers", "import", "no/such/file").want(t, shell.ExitUsage, "", "no such file")
}

func TestControllersCredentials(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/credentials/export"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"version":1}`) }
	f.answers["POST /v1/credentials/import"] = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"added":1,"revoked":2,"unchanged":3}`)
	}
	f.run("", "controllers", "export", "--credentials").want(t, shell.ExitOK, `{"version":1}`, "")
	f.run(`{"version":1}`, "controllers", "import", "--credentials", "-").want(t, shell.ExitOK, "1 credential added, 2 revoked, 3 as before.\n", "")
	if f.bodies[1] != `{"version":1}` || f.requests[1].Header.Get("Content-Type") != "application/json" {
		t.Errorf("sent %q", f.bodies)
	}
	f.run("", "controllers", "export", "--credentials", "pump-1").want(t, shell.ExitUsage, "", "leave out pump-1")
	f.run("{}", "controllers", "import", "--credentials", "--dry-run", "-").want(t, shell.ExitUsage, "", "--dry-run is for CSV")
}

// An export that breaks off must not look whole.
func TestControllersExportThatBreaksOff(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/controllers/export"] = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "controller\n")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	f.run("", "controllers", "export").want(t, shell.ExitUnreachable, "controller\n", "broke in the middle")
}

const books = `{"controllers":[
{"controller":"pump-17","received":110,"accepted":100,"duplicate":7,"rejected":{"conflict":2,"range":1},"committed":90,"duplicate_at_record":4,"in_spool":3,"quarantined":2,"filtered":1,"discarded":0,"damaged":0},
{"controller":"tank-2","received":5,"accepted":5,"duplicate":0,"rejected":{},"committed":%d,"duplicate_at_record":0,"in_spool":0,"quarantined":0,"filtered":0,"discarded":0,"damaged":0}],
"total":{"received":115,"accepted":105,"duplicate":7,"rejected":{"conflict":2,"range":1},"committed":95,"duplicate_at_record":4,"in_spool":3,"quarantined":2,"filtered":1,"discarded":0,"damaged":0},
"nameless":{"checksum":3}}`

const links = `{"sources":[{"name":"line-3","state":"failing","since":"2026-11-22T05:58:00Z","why":"open /dev/ttyUSB0: no such device"},
{"name":"meters","state":"running","since":"2026-11-22T05:57:00Z","addresses":["127.0.0.1:4001"]}],
"ports":[{"name":"line-3","heard":"2026-11-22T06:00:00Z","counts":{"checksum":4,"received":1200},
"bad_frames":[{"time":"2026-11-22T05:59:00Z","event":"checksum","why":"the CRC is another\u001b[2J","bytes":"0103ff","size":3}]}],
"controllers":[{"name":"pump-17","peer":"10.0.0.7:502","counts":{"timeout":2},"books":{"duplicate":7,"gap":3},"signals":{"rssi":{"time":"2026-11-22T06:00:00Z","value":-71.5,"unit":"dBm"}}}]}`

func TestLinks(t *testing.T) {
	f := newFake(t)
	var query string
	f.answers["GET /v1/links"] = func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		fmt.Fprint(w, links)
	}
	list, bad := f.run("", "links"), f.run("", "links", "pump-*", "--port", "line-3", "--bad")
	if query != "controller=pump-%2A&detail=1&port=line-3" {
		t.Errorf("asked for %q", query)
	}
	list.want(t, shell.ExitOK, list.stdout, "")
	bad.want(t, shell.ExitOK, bad.stdout, "")
	f.run("", "links", "--json").want(t, shell.ExitOK, `"rssi"`, "")
	golden(t, "links.txt", list.stdout+bad.stdout)
}

func TestLedger(t *testing.T) {
	f := newFake(t)
	committed := 5
	f.answers["GET /v1/ledger"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, books, committed) }
	got := f.run("", "ledger", "*")
	got.want(t, shell.ExitOK, got.stdout, "")
	asJSON := f.run("", "ledger", "--json")
	asJSON.want(t, shell.ExitOK, `"duplicate_at_record": 4`, "")
	committed = 4
	wrong := f.run("", "ledger")
	wrong.want(t, shell.ExitDamaged, "DOES NOT BALANCE", "the account of tank-2 does not add up")
	golden(t, "ledger.txt", got.stdout+wrong.stdout)
}
