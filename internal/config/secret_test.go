package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/config"
)

const canary = "hunter2-canary"

func TestSecretNeverShows(t *testing.T) {
	secret := config.NewSecret(canary)
	holder := struct{ Password config.Secret }{secret}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "secret", secret, "holder", holder)
	shown := []string{string(encoded), logged.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, &holder))
	}
	for _, text := range shown {
		if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Errorf("the secret shows in %s", text)
		}
	}
	if secret.Reveal() != canary {
		t.Errorf("Reveal gives %q", secret.Reveal())
	}
}

func TestSecretNeverShowsInMessages(t *testing.T) {
	for _, yaml := range []string{
		"sinks: {a: {pasword: " + canary + ", batch: x}}\n",         // misspelled
		"sinks: {a: {passphrase: " + canary + "}}\n",                // unknown
		"sinks: {a: {passphrase: " + canary + ", batch: x}}\n",      // unknown, beside another problem
		"sinks:\n  a:\n    password: \"" + canary + "\n",            // syntax error in its line
		"sinks:\n  a:\n    password: [" + canary + "]\n",            // wrong form
		"sinks: {a: {password: " + canary + ", batch: x}}\n",        // a problem in its line
		"sinks: {a: {password: " + canary + "}}\nlisten: {https: 1", // elsewhere
	} {
		_, _, err := load(t, yaml, config.Sources{})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s\ngives %v", yaml, err)
		}
	}
	_, _, err := load(t, "", config.Sources{Set: []string{"sinks.a.pasword=" + canary}, Environ: []string{"PENSTOCK_RATE=1"}})
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("--set gives %v", err)
	}
}

func TestSecretFromFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/conf/secret", canary+"\n")
	write(t, dir+"/conf/penstock.yaml", "sinks: {a: {url: u, password: 'file:secret'}}\n")
	p := defaults()
	loaded, err := config.Load(&p, config.Sources{File: dir + "/conf/penstock.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	password := p.Sinks["a"].Password
	if password.Reveal() != canary {
		t.Errorf("got %q", password.Reveal())
	}
	printed, err := config.Print(&p, loaded)
	if err != nil || strings.Contains(string(printed), canary) || !strings.Contains(string(printed), "file:secret") {
		t.Errorf("printed %s (%v)", printed, err)
	}
	if err := os.Truncate(dir+"/conf/secret", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(&p, config.Sources{File: dir + "/conf/penstock.yaml"}); err == nil {
		t.Error("an empty secret's file is taken")
	}
}
