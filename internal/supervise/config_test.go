package supervise_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/supervise"
	"github.com/penstock/penstock/internal/supervise/capture"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func load(t *testing.T, text string) (supervise.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "programs.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := supervise.DefaultConfig()
	_, err := config.Load(&c, config.Sources{File: file})
	return c, err
}

func TestConfiguration(t *testing.T) {
	c, err := load(t, `
log: {to: files, dir: /tmp/x, level: warn}
programs:
  web:
    command: [node, app.js]
    instances: 0
    listen: ["http=:3000", "udp:127.0.0.1:514"]
    watchdog: 10s
    memory: 300MiB
  gateway:
    command: [penstock, serve]
    stop_signal: INT
`)
	if err != nil {
		t.Fatal(err)
	}
	web, gateway := c.Programs["web"], c.Programs["gateway"]
	if web.Watchdog.Std() != 10*time.Second || web.Memory != 300<<20 || web.Instances != 0 || !web.Overlap || gateway.Instances != 1 ||
		gateway.GiveUp.Failures != 10 || c.Log.Level != capture.Warning || c.Log.Keep != 5 {
		t.Errorf("%+v", c)
	}
}

func TestConfigurationsThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                             "programs: needs 1 to 64 programs",
		"programs: {web: {command: []}}": "programs.web.command: names no program",
		"programs: {web: {command: [x], instances: 1000}}":                                     "programs.web.instances: is from 0 to 256",
		"programs: {web: {command: [x], restart: maybe}}":                                      "restart: is one of",
		"programs: {web: {command: [x], ready: soon}}":                                         "ready: is auto or notify",
		"programs: {web: {command: [x], watchdog: 1ms}}":                                       "watchdog: is at least 100ms",
		"programs: {web: {command: [x], memory: 5}}":                                           "memory: is at least 1MiB",
		"programs: {web: {command: [x], start_timeout: 0s}}":                                   "start_timeout: needs to be positive",
		"programs: {web: {command: [x], stop_signal: HELLO}}":                                  `stop_signal: "HELLO" is no signal`,
		"programs: {web: {command: [x], give_up: {within: 0s}}}":                               "give_up: needs",
		"programs: {web: {command: [x], listen: [\"a=:1\", \"a=:2\"]}}":                        "two sockets have the name a",
		"programs: {web: {command: [x], listen: [here]}}":                                      "listen[0]: ",
		"programs: {supervise: {command: [x]}}":                                                "programs.supervise: a name has",
		"programs: {../x: {command: [x]}}":                                                     "a name has 1 to 40",
		"programs: {a: {command: [x], listen: [\":1\"]}, b: {command: [x], listen: [\":1\"]}}": "programs.b.listen: tcp::1 is listened on by a already",
		"{log: {to: files}, programs: {web: {command: [x]}}}":                                  "log.dir: files need a directory",
		"{log: {to: syslog, address: there}, programs: {web: {command: [x]}}}":                 "log.address: ",
		"{log: {to: files, dir: x, max_size: 1KiB}, programs: {web: {command: [x]}}}":          "log.max_size: is at least 64KiB",
		"{log: {level: loud}, programs: {web: {command: [x]}}}":                                `"loud" is no severity`,
		"programs: {web: {comand: [x]}}":                                                       "did you mean",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n gives %v", text, err)
		}
	}
}
