package logging_test

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/logging"
)

func TestFormatFollowsTheReader(t *testing.T) {
	for _, test := range []struct {
		format   logging.Format
		terminal bool
		json     bool
	}{{logging.Auto, true, false}, {logging.Auto, false, true}, {logging.Text, false, false}, {logging.JSON, true, true}} {
		var written strings.Builder
		log, _, err := logging.New(logging.Config{Level: "info", Format: test.format}, &written, test.terminal)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("stored", logging.Controller, "pump-17")
		if got := json.Valid([]byte(written.String())); got != test.json {
			t.Errorf("%+v writes %s", test, written.String())
		}
		if !regexp.MustCompile(`[0-9]Z\b`).MatchString(written.String()) {
			t.Errorf("the time is not in UTC: %s", written.String())
		}
	}
}

func TestLevelCanChange(t *testing.T) {
	var written strings.Builder
	log, level, err := logging.New(logging.Config{Level: "warn", Format: logging.Text}, &written, false)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("one")
	level.Set(slog.LevelDebug)
	log.Debug("two")
	if strings.Contains(written.String(), "one") || !strings.Contains(written.String(), "two") {
		t.Errorf("got %s", written.String())
	}
}

func TestConfigIsChecked(t *testing.T) {
	if err := logging.Default().Validate(); err != nil {
		t.Error(err)
	}
	for want, c := range map[string]logging.Config{
		`level: "loud" is not a level: write debug, info, warn or error`:   {Level: "loud", Format: logging.Auto},
		`format: "xml" is not a format: write auto, text or json`:          {Level: "info", Format: "xml"},
		`level: "INFO+1" is not a level: write debug, info, warn or error`: {Level: "INFO+1", Format: logging.Auto},
		`format: "" is not a format: write auto, text or json`:             {Level: "info"},
	} {
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
