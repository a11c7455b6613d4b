package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/cli/shell"
)

const overview = `{"time":"2026-11-22T02:15:00Z","controllers":5000,"reporting":4981,"late":12,"silent":7,"new":0,"held":1,"causes":[
{"verdict":"physical","confidence":0.97,"second":"network","rule":"site-fades","scope":"site","name":"north","since":"2026-11-22T02:11:30Z",
"evidence_for":["RSSI is -97.0 dBm, 17.0 dB worse than its usual -80.0","the signal of 8 of 9 others at the site north faded as well"],
"evidence_against":["none of its 57 frames was damaged"],"next":"look at the aerial","send":"a radio technician","count":10,
"controllers":["pump-11","pump-12","pump-13","pump-14","pump-15"],"missing":17},
{"verdict":"unclear","between":["controller","physical"],"confidence":0.82,"rule":"silent-alone","scope":"controller","name":"tank\u001b[2J",
"since":"2026-11-22T02:00:00Z","evidence_for":["it has not reported for 15m0s"],"evidence_missing":["the link tells no signal"],"next":"reach the modem","count":1,"controllers":["tank"],"missing":0}]}`

const detail = `{"verdict":"controller","confidence":0.99,"rule":"clock","scope":"controller","name":"pump-17","since":"2026-11-22T02:11:30Z",
"evidence_for":["its clock jumped by +3600.0 s"],"next":"set its clock","send":"whoever keeps the controller's program",
"controller":"pump-17","site":"north","line":"line-3","source":"line-3","link_type":"radio","pulse":"reporting","last_seen":"2026-11-22T02:14:58Z","usual_interval":10,
"clock":{"least_age":-3599.8,"delay":0.05,"stepped":3600},
"last_report":{"identity":"7/42","source":"2026-11-22T03:14:58Z","received":"2026-11-22T02:14:58.2Z","accepted":"2026-11-22T02:14:58.203Z","stored":"2026-11-22T02:14:58.24Z"},
"now":{"seconds":60,"reports":6,"fresh":6,"again":0,"skipped":0,"refused":0,"frames":198,"damaged":1,"line_errors":0,"timeouts":0,"exceptions":0,"malformed":0,"restarts":0,"sessions_lost":0},
"before":{"seconds":0,"reports":0,"fresh":0,"again":0,"skipped":0,"refused":0,"frames":0,"damaged":0,"line_errors":0,"timeouts":0,"exceptions":0,"malformed":0,"restarts":0,"sessions_lost":0},
"signals":[{"quantity":"rssi","unit":"dBm","value":-81.2,"usual":-80,"limit":-100}],"missing":1}`

func TestDiagnose(t *testing.T) {
	f := newFake(t)
	var query string
	f.answers["GET /v1/diagnose"] = func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		fmt.Fprint(w, overview)
	}
	f.answers["GET /v1/diagnose/pump-17"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, detail) }
	all, one := f.run("", "diagnose", "pump-*", "--site", "north", "--since", "1h"), f.run("", "diagnose", "pump-17")
	if query != "controller=pump-%2A&since=1h&site=north" {
		t.Errorf("asked for %q", query)
	}
	all.want(t, shell.ExitOK, "4981 of 5000 reporting · 12 late · 7 silent · 1 held · 2 causes\n", "")
	one.want(t, shell.ExitOK, "pump-17 is reporting · site north", "")
	golden(t, "diagnose.txt", all.stdout+"\n"+one.stdout)
	f.run("", "diagnose", "--json").want(t, shell.ExitOK, `"site-fades"`, "")
	f.run("", "diagnose", "pump-17", "--json").want(t, shell.ExitOK, `"7/42"`, "")
	f.run("", "diagnose", "pump-17", "--site", "north").want(t, shell.ExitUsage, "", "leave them out for pump-17")
}

func TestCommission(t *testing.T) {
	f := newFake(t)
	const record = `{"id":"pump-17@1","controller":"pump-17","site":"north","by":"abc","begun":"2026-11-22T06:00:00Z","ends":"2026-11-22T06:01:00Z"%s}`
	f.answers["POST /v1/commission/pump-17"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, record, `,"done":false,"passed":false`)
	}
	passed, asked := true, 0
	f.answers["GET /v1/commission/pump-17"] = func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked%2 == 1 {
			fmt.Fprintf(w, `{"records":[`+record+`]}`, "")
			return
		}
		fmt.Fprintf(w, `{"records":[`+record+`]}`, fmt.Sprintf(`,"done":true,"passed":%v,"checks":[{"name":"reports","result":"pass","says":"6 reports were taken in 1m0s"},
			{"name":"signal","result":"unknown","says":"the link told no signal"}]`, passed))
	}
	file := filepath.Join(t.TempDir(), "record.json")
	good := f.run("", "commission", "pump-17", "--every", "10s", "--file", file)
	good.want(t, shell.ExitOK, "PASS  pump-17 · site north\n", "The record is in "+file)
	if body := f.bodies[0]; !strings.Contains(body, `"for":"1m0s"`) || !strings.Contains(body, `"every":"10s"`) {
		t.Errorf("asked for %s", body)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `"pump-17@1"`) {
		t.Errorf("%v: %s", err, text)
	}
	f.run("", "commission", "pump-17", "--file", file).want(t, shell.ExitUsage, "", "file exists")
	passed = false
	f.run("", "commission", "pump-17", "--file", file+"2").want(t, shell.ExitFailed, "FAIL  pump-17", "pump-17 did not pass")
	f.run("", "commission", "pump-17", "--for", "0s").want(t, shell.ExitUsage, "", "--for needs a duration")
	golden(t, "commission.txt", good.stdout)
}
