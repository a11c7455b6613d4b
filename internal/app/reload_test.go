package app

import (
	"slices"
	"testing"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/mapping"
)

func TestWhatNeedsARestart(t *testing.T) {
	before, after := settings.Default(), settings.Default()
	after.Log.Level, after.Sources = "debug", []settings.Source{{Name: "line-3"}}
	after.Mappings = map[string]mapping.Config{"logger": {}}
	if keys := needRestart(before, after); len(keys) > 0 {
		t.Errorf("%q: these change while the gateway runs", keys)
	}
	after.Listen.HTTPS, after.Unknown = ":8443", "hold"
	if keys := needRestart(before, after); !slices.Equal(keys, []string{"listen", "unknown"}) {
		t.Errorf("%q, not listen and unknown", keys)
	}
}
