package phrase_test

import (
	"testing"

	"github.com/penstock/penstock/internal/diagnose/phrase"
)

func TestPhrases(t *testing.T) {
	for got, want := range map[string]string{
		phrase.Named("site", "north"):               "the site north",
		phrase.Named("site", "site-02"):             "site-02",
		phrase.Named("line", "Line 7"):              "Line 7",
		phrase.Ratio(3, 60, "frames"):               "3 of 60 frames (5.0 %)",
		phrase.Ratio(0, 0, "frames"):                "0 of 0 frames (0.0 %)",
		phrase.Count(1, "report is", "reports are"): "1 report is",
		phrase.Count(7, "report is", "reports are"): "7 reports are",
		phrase.Span(0.001):                          "a few milliseconds",
		phrase.Span(0.123):                          "120ms",
		phrase.Span(4.04):                           "4s",
		phrase.Span(61.4):                           "1m1s",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
