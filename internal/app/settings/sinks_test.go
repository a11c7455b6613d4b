package settings

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/mqtt"
	"github.com/penstock/penstock/internal/sink/sinktest"
	"github.com/penstock/penstock/internal/sink/upstream"
)

// settled are the settings of a kind of sink in a test.
type settled struct{ Wrong bool }

func (s *settled) Validate() error {
	if s.Wrong {
		return errors.New("wrong")
	}
	return nil
}

func TestWhatIsWrongWithSinks(t *testing.T) {
	list := []Sink{{Name: ""}, {Name: "a/b"}, {Name: strings.Repeat("x", sink.MaxName+1)}, {Name: "historian"}, {Name: "twice"}, {Name: "twice"}}
	var said []string
	for _, err := range checkSinks(list) {
		said = append(said, err.Error())
	}
	for _, want := range []string{
		"sinks[0].name: a sink needs a name", "sinks[1].name: a sink needs a name", "sinks[2].name: a sink needs a name of 1 to 64 bytes",
		`sinks[3].name: "historian" is the embedded historian`, `sinks[5].name: "twice" is taken`, "sinks[4]: twice has the settings of 0 kinds",
	} {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("nobody says %q:\n%s", want, strings.Join(said, "\n"))
		}
	}
}

func TestKindsOfSinks(t *testing.T) {
	store := sinktest.NewStore()
	none := sinkKindOf("none", (*settled)(nil), func(settled, sink.Env) (penstock.Sink, error) { return nil, nil })
	plain := sinkKindOf("plain", &settled{}, func(settled, sink.Env) (penstock.Sink, error) { return sinktest.NewDestination().Open(), nil })
	record := recordKindOf("record", &settled{}, func(_ settled, env sink.Env) (*sinktest.Record, error) { return store.Open(env.Node), nil })
	absent := recordKindOf("absent", (*settled)(nil), func(settled, sink.Env) (*sinktest.Record, error) { return nil, nil })
	if none.config != nil || absent.config != nil || plain.sink == nil || plain.record != nil || record.record == nil || record.sink != nil {
		t.Errorf("%+v, %+v, %+v, %+v", none, absent, plain, record)
	}
}

// A gateway that forwards drops nothing and tries once what is refused, unless it is told
// otherwise.
func TestAForwardingSink(t *testing.T) {
	c := Config{Sinks: []Sink{
		{Name: "centre", Upstream: &upstream.Config{}},
		{Name: "other", Upstream: &upstream.Config{}, Settings: sink.Settings{WhenFull: sink.DropOldest, Tries: 5}},
		{Name: "broker", MQTT: &mqtt.Config{}},
	}}
	specs := c.SinkSpecs()
	for i, want := range []sink.Settings{{WhenFull: sink.Refuse, Tries: 1}, {WhenFull: sink.DropOldest, Tries: 5}, {}} {
		if specs[i].Settings != want || specs[i].Forwards != (i < 2) {
			t.Errorf("%+v", specs[i])
		}
	}
	if c.Sinks[0].Connecting() != any(c.Sinks[0].Upstream) || (&Sink{}).Connecting() != nil {
		t.Error("the settings of the kind are not found")
	}
}
