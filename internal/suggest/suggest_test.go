package suggest_test

import (
	"testing"

	"github.com/penstock/penstock/internal/suggest"
)

func TestNearest(t *testing.T) {
	known := []string{"controller", "epoch", "seq", "time", "value", "https", "health"}
	for got, want := range map[string]string{
		"contoller": "controller", "Value": "value", "vlaue": "value", "timestamp": "time", "contr": "controller",
		"htps": "https", "heatlh": "health", "SEQ": "seq", "sq": "seq", "x": "", "zebra": "", "": "", "ti": "",
	} {
		if guess := suggest.Nearest(got, known); guess != want {
			t.Errorf("Nearest(%q) = %q, want %q", got, guess, want)
		}
	}
}

func TestNear(t *testing.T) {
	if !suggest.Near("pasword", "password") || !suggest.Near("token", "token") || suggest.Near("listen", "password") {
		t.Error("Near does not tell names that are near from those that are not")
	}
}
