package config_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/config"
)

// cargo has what a configuration has.
type cargo struct {
	CargoInline `yaml:",inline"`
	Name        string                   `yaml:"name"`
	Every       config.Duration          `yaml:"every,omitempty"`
	Never       config.Duration          `yaml:"never,omitempty"`
	Password    config.Secret            `yaml:"password,omitempty"`
	Index       *uint32                  `yaml:"index,omitempty"`
	Inner       *cargoInner              `yaml:"inner,omitempty"`
	Absent      *cargoInner              `yaml:"absent,omitempty"`
	List        []cargoInner             `yaml:"list,omitempty"`
	ByName      map[string]cargoInner    `yaml:"by_name,omitempty"`
	Secrets     map[string]config.Secret `yaml:"secrets,omitempty"`
}

// CargoInline is exported, since its keys would be none otherwise.
type CargoInline struct {
	Share float64 `yaml:"share,omitempty"`
}

type cargoInner struct {
	Key  config.Secret `yaml:"key,omitempty"`
	Size config.Size   `yaml:"size,omitempty"`
	Wait time.Duration `yaml:"wait,omitempty"`
}

func TestCarry(t *testing.T) {
	index := uint32(0)
	sent := cargo{
		Name: "a", Every: config.Duration(time.Minute), Password: config.NewSecret("one"), Index: &index, Inner: &cargoInner{Key: config.NewSecret("two")},
		List:        []cargoInner{{}, {Key: config.NewSecret("three"), Size: 5, Wait: 7}},
		ByName:      map[string]cargoInner{"z": {Key: config.NewSecret("five")}, "b": {Key: config.NewSecret("four")}},
		Secrets:     map[string]config.Secret{"s": config.NewSecret("six")},
		CargoInline: CargoInline{Share: 0.1},
	}
	text, err := config.Carry(&sent)
	if err != nil {
		t.Fatal(err)
	}
	var got cargo
	if err := config.Receive(text, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sent) {
		t.Errorf("%+v came, and %+v was sent", got, sent)
	}
	for want, s := range map[string]config.Secret{"one": got.Password, "two": got.Inner.Key, "three": got.List[1].Key, "four": got.ByName["b"].Key, "five": got.ByName["z"].Key, "six": got.Secrets["s"]} {
		if s.Reveal() != want {
			t.Errorf("a secret is %q, not %q", s.Reveal(), want)
		}
	}
}

func TestReceiveRefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{"", "{", `{"Config":3}`, `{"Config":{"Every":"soon"}}`} {
		var c cargo
		if err := config.Receive([]byte(text), &c); err == nil || strings.Contains(err.Error(), text) && text != "" && text != "{" {
			t.Errorf("%q: %v", text, err)
		}
	}
}
