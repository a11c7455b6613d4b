package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/cli/shell"
)

func TestHowAGatewayIsFound(t *testing.T) {
	f := newFake(t)
	f.answers["GET /v1/latest"] = func(w http.ResponseWriter, _ *http.Request) {}
	empty := t.TempDir()
	cert := filepath.Join(f.data, "tls", "cert.pem")
	tokenFile := filepath.Join(f.data, "admin.token")
	for name, test := range map[string]struct {
		environ []string
		args    []string
		code    int
		message string
	}{
		"data directory":        {nil, []string{"--data", f.data}, shell.ExitOK, ""},
		"environment":           {[]string{"PENSTOCK_DATA=" + f.data}, nil, shell.ExitOK, ""},
		"flags":                 {nil, []string{"--url", f.URL, "--ca", cert, "--token", token, "--data", empty}, shell.ExitOK, ""},
		"variables":             {[]string{"PENSTOCK_URL=" + f.URL, "PENSTOCK_CA=" + cert, "PENSTOCK_TOKEN=" + token}, []string{"--data", empty}, shell.ExitOK, ""},
		"token file":            {[]string{"PENSTOCK_TOKEN_FILE=" + tokenFile, "PENSTOCK_URL=" + f.URL, "PENSTOCK_CA=" + cert}, []string{"--data", empty}, shell.ExitOK, ""},
		"flag before variable":  {[]string{"PENSTOCK_TOKEN=wrong"}, []string{"--token-file", tokenFile, "--data", f.data}, shell.ExitOK, ""},
		"nothing runs":          {nil, []string{"--data", empty}, shell.ExitUnreachable, "no gateway runs on"},
		"nothing listens":       {nil, []string{"--url", "https://127.0.0.1:1"}, shell.ExitUnreachable, "the gateway at https://127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused. Is it running?"},
		"unknown certificate":   {nil, []string{"--url", f.URL, "--data", empty}, shell.ExitUnreachable, "Give its certificate with --ca FILE"},
		"another name":          {nil, []string{"--url", "https://localhost" + f.URL[len("https://127.0.0.1"):], "--data", f.data}, shell.ExitUnreachable, "Use one of the names in its certificate"},
		"wrong token":           {nil, []string{"--token", "wrong", "--data", f.data}, shell.ExitRefused, "Title (HTTP 401). No such token. Do this"},
		"no URL":                {nil, []string{"--url", "gateway:8080"}, shell.ExitUsage, "is not the URL of a gateway"},
		"plain http":            {nil, []string{"--url", "http://192.0.2.1:8080"}, shell.ExitUsage, "would show the token to the network"},
		"both tokens":           {nil, []string{"--token", "a", "--token-file", "b", "--data", f.data}, shell.ExitUsage, "exclude each other"},
		"no such token file":    {nil, []string{"--token-file", "none", "--data", f.data}, shell.ExitUsage, "open none: no such file"},
		"no certificate in PEM": {nil, []string{"--ca", tokenFile, "--data", f.data}, shell.ExitUsage, "no certificate in PEM form"},
	} {
		t.Run(name, func(t *testing.T) {
			got := command{environ: test.environ}.run(append([]string{"query", "-o", "ndjson"}, test.args...)...)
			got.want(t, test.code, "", test.message)
		})
	}
	if err := os.WriteFile(filepath.Join(f.data, "run", "addresses.json"), []byte(`{"listen.https":"off"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f.run("", "query").want(t, shell.ExitUnreachable, "", "names no address for listen.https")
}

// An answer that does not come from a gateway is told as such.
func TestAnswersOfOthers(t *testing.T) {
	f := newFake(t)
	for name, test := range map[string]struct {
		answer  func(http.ResponseWriter)
		code    int
		message string
	}{
		"proxy":    {func(w http.ResponseWriter) { w.WriteHeader(502) }, shell.ExitLater, "Bad Gateway (HTTP 502). The answer is not from a gateway"},
		"redirect": {func(w http.ResponseWriter) { w.Header().Set("Location", "/login"); w.WriteHeader(302) }, shell.ExitUnreachable, "the gateway redirects"},
		"page":     {func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>\n")) }, shell.ExitFailed, "a line of the gateway's answer cannot be read"},
		"fault":    {problem(500, "internal", "The gateway failed at this request.", ""), shell.ExitFailed, "Title (HTTP 500). The gateway failed at this request. Do this"},
		"breaks off": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"controller":"a","point":"p","time":1,"value":1,"status":0}` + "\n"))
		}, shell.ExitUnreachable, "The connection broke in the middle of an answer."},
	} {
		t.Run(name, func(t *testing.T) {
			f.refuse = []func(http.ResponseWriter){test.answer}
			got := f.run("", "query", "-o", "ndjson")
			if got.stdout = ""; test.message != "" {
				got.want(t, test.code, "", test.message)
			}
		})
	}
}
