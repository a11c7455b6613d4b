package topic_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/topic"
)

func TestReach(t *testing.T) {
	r, err := topic.NewRouter([]topic.Route{
		{Topic: "reports/{controller}"}, {Topic: "values/{controller}/{point...}", Payload: topic.Value},
		{Topic: "{site}/{unit}/state", Controller: "{site}:{unit}"}, {Topic: "meters/#"},
		{Topic: "spBv1.0/north/#", Payload: topic.Sparkplug},
	}, topic.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]string{
		"reports/a": "a ", "reports/+": "? ", "reports/a/b": "", "reports": "", "reports/a/#": "a reports:a ", "reports/#": "? ? ",
		"values/a/#": "a values:a ", "values/+/x": "? ", "values/a/x/y": "a ", "values/a": "",
		"x/y/state": "x:y ", "x/+/state": "? ", "x/#": "? ", "#": "? ? ? ? ", "+/a": "a ", "meters/1": "", "+/+/+": "? ? ? ",
		"spBv1.0/north/NCMD/gw": "? ", "spBv1.0/south/NCMD/gw": "",
	} {
		var got strings.Builder
		r.Reach(filter, func(controller string, known bool) bool {
			if !known {
				controller = "?"
			}
			fmt.Fprint(&got, controller, " ")
			return false
		})
		if got.String() != want {
			t.Errorf("%s reaches %q, not %q", filter, got.String(), want)
		}
	}
}

// Whatever topic matches both the filter and a route that names its controller is
// reached, with that controller or with none.
func TestReachMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"a", "b", "values"})
		name := rapid.SliceOfN(word, 2, 4).Draw(t, "topic")
		filter := make([]string, len(name))
		for i := range name {
			filter[i] = rapid.SampledFrom([]string{name[i], "+"}).Draw(t, "level")
		}
		if cut := rapid.IntRange(0, len(name)).Draw(t, "cut"); rapid.Bool().Draw(t, "open") {
			filter = append(filter[:cut], "#")
		}
		r, err := topic.NewRouter([]topic.Route{
			{Topic: "values/{controller}/{point...}", Payload: topic.Value}, {Topic: "{controller}/a"}, {Topic: "+/{controller}/+/#"},
		}, topic.MQTT)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := r.Match(strings.Join(name, "/"))
		if !ok || m.Controller == "" {
			return
		}
		if !r.Reach(strings.Join(filter, "/"), func(controller string, known bool) bool { return !known || controller == m.Controller }) {
			t.Fatalf("%q does not reach %q of %q", filter, m.Controller, name)
		}
	})
}
