package pipeline_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/penstock/penstock/internal/pipeline"
)

func TestSchemaNamesEverySetting(t *testing.T) {
	text, err := json.Marshal(pipeline.Step{}.JSONSchema())
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Type        string
		Enum        []string
		Description string
		Properties  map[string]schema
		Additional  *bool `json:"additionalProperties"`
		AnyOf       []schema
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.AnyOf) != 2 || len(s.AnyOf[0].Enum) != 9 || len(s.AnyOf[1].Properties) != 9 {
		t.Fatalf("schema %s", text)
	}
	for name, step := range s.AnyOf[1].Properties {
		if !slices.Contains(s.AnyOf[0].Enum, name) || step.Description == "" || step.Additional == nil || *step.Additional {
			t.Errorf("step %s: %+v", name, step)
		}
		for setting, described := range step.Properties {
			if described.Description == "" {
				t.Errorf("%s.%s has no description", name, setting)
			}
		}
	}
	if got := s.AnyOf[1].Properties["validate"].Properties["skew_ahead"].Type; got != "string" {
		t.Errorf("a duration is a %s", got)
	}
}
