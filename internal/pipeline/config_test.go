package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pipeline"
)

type document struct {
	Middleware pipeline.Config `yaml:"middleware"`
}

func parse(text string) (pipeline.Config, error) {
	var d document
	err := yaml.UnmarshalWithOptions([]byte(text), &d, yaml.Strict())
	return d.Middleware, err
}

func TestConfigFromYAML(t *testing.T) {
	cfg, err := parse(`
middleware:
  - limit_peer: {bytes: 4096}
  - authenticate
  - {checksum: {require: true, require_from: [north]}}
  - log:
  - decode: {max_reports: 7}
  - {validate: {skew_ahead: 90s, skew_behind: 30d}}
  - stamp
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	byDefault := pipeline.Default()
	peer, decode, validate := cfg[0].LimitPeer, cfg[4].Decode, cfg[5].Validate
	if peer.Bytes != 4096 || peer.Envelopes == 0 || peer.Burst == 0 {
		t.Errorf("limit_peer %+v: what is left out is not the default", peer)
	}
	if decode.MaxReports != 7 || decode.MaxSamples != byDefault[4].Decode.MaxSamples {
		t.Errorf("decode %+v", decode)
	}
	if validate.SkewAhead != pipeline.Span(90*time.Second) || validate.SkewBehind != pipeline.Span(720*time.Hour) || validate.RefuseAhead != byDefault[5].Validate.RefuseAhead {
		t.Errorf("validate %+v", validate)
	}
	if c := cfg[2].Checksum; !c.Require || len(c.RequireFrom) != 1 {
		t.Errorf("checksum %+v", c)
	}
	newBench(t, cfg, fleetOptions())

	again, err := yaml.Marshal(document{cfg})
	if err != nil {
		t.Fatal(err)
	}
	if printed, err := parse(string(again)); err != nil || len(printed) != len(cfg) || *printed[5].Validate != *validate {
		t.Errorf("what is printed does not read the same: %v\n%s", err, again)
	}
}

func TestConfigThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"middleware: [authentcate]":                      `did you mean "authenticate"`,
		"middleware: [{chekcsum: {require: true}}]":      `did you mean "checksum"`,
		"middleware: [kafka]":                            "the steps are limit_peer, authenticate",
		"middleware: [scope]":                            "has its own place",
		"middleware: [{validate: {skew: 1s}}]":           "skew",
		"middleware: [{validate: {}, stamp: {}}]":        "a step is its name",
		"middleware: [12]":                               "no step",
		"middleware: [[stamp]]":                          "a step is its name",
		"middleware: [{limit: {single: {burts: 1s}}}]":   "burts",
		"middleware: [{validate: {skew_ahead: 99999d}}]": "no length of time",
		"middleware: [{validate: {skew_ahead: -1d}}]":    "no length of time",
		"middleware: [{validate: {skew_ahead: 1 hour}}]": "no length of time",
	} {
		cfg, err := parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", text, err, want)
		}
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: beside the error of the entry another about the list: %v", text, err)
		}
		if len(cfg) > 0 {
			if _, err := pipeline.New(cfg, pipeline.Deps{}); err == nil {
				t.Errorf("%s: an entry that could not be read was left out in silence", text)
			}
		}
	}
}

func TestOrderOfSteps(t *testing.T) {
	for list, want := range map[string]string{
		"authenticate limit log checksum decode validate stamp":      "",
		"limit_peer log authenticate checksum decode stamp validate": "",
		"authenticate checksum decode validate stamp":                "",
		"checksum authenticate decode validate stamp":                `"authenticate" must come before "checksum"`,
		"checksum decode validate stamp authenticate":                `"authenticate" must come before "decode"`,
		"checksum decode validate stamp":                             `"authenticate" is missing`,
		"authenticate decode validate stamp":                         `"checksum" is missing`,
		"authenticate checksum validate stamp":                       `"decode" is missing`,
		"authenticate checksum decode stamp":                         `"validate" is missing`,
		"authenticate checksum decode validate":                      `"stamp" is missing`,
		"authenticate decode checksum validate stamp":                `"checksum" must come before "decode"`,
		"limit authenticate checksum decode validate stamp":          `"authenticate" must come before "limit"`,
		"authenticate limit_peer checksum decode validate stamp":     `"limit_peer" must come before "authenticate"`,
		"authenticate checksum decode limit validate stamp":          `"limit" must come before "decode"`,
		"authenticate checksum decode log validate stamp":            `"log" must come before "decode"`,
		"authenticate checksum validate decode stamp":                `"decode" must come before "validate"`,
		"authenticate checksum stamp decode validate":                `"decode" must come before "stamp"`,
		"authenticate checksum decode validate stamp stamp":          `"stamp" is listed twice`,
	} {
		cfg, err := parse("middleware: [" + strings.ReplaceAll(list, " ", ", ") + "]")
		if err != nil {
			t.Fatal(err)
		}
		_, err = pipeline.New(cfg, pipeline.Deps{})
		if want == "" && err == nil {
			continue
		}
		if want == "" || err == nil || !strings.Contains(err.Error(), want) || penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%s: error %v, want %q", list, err, want)
		}
	}
	_, err := pipeline.New(pipeline.Config{{}, {Stamp: &pipeline.StampConfig{}, Checksum: &pipeline.ChecksumConfig{}}}, pipeline.Deps{})
	if err == nil || strings.Count(err.Error(), "exactly one") != 2 || strings.Count(err.Error(), "missing") != 5 {
		t.Errorf("not all problems are named: %v", err)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	for setting, want := range map[string]string{
		"authenticate: {failures: 0}":                        "failures",
		"limit_peer: {envelopes: 0}":                         "envelopes",
		"limit_peer: {bytes: 10}":                            "bytes",
		"limit: {single: {reports: -1}}":                     "single.reports",
		"limit: {shared: {burst: 1ms}}":                      "shared.burst",
		"log: {every: -1}":                                   "every",
		"log: {refusals: -1}":                                "refusals",
		"checksum: {require_from: [\"\"]}":                   "require_from",
		"decode: {max_reports: 0}":                           "max_reports",
		"decode: {max_samples: 0}":                           "max_samples",
		"validate: {skew_ahead: 0s}":                         "skew_ahead",
		"validate: {skew_behind: -1s}":                       "skew_behind",
		"validate: {skew_ahead: 2h, refuse_ahead: 1h}":       "refuse_ahead",
		"validate: {refuse_ahead: 36501d}":                   "refuse_ahead",
		"validate: {refuse_behind: 876001h}":                 "refuse_behind",
		"validate: {skew_behind: 2000h, refuse_behind: 10h}": "refuse_behind",
	} {
		cfg, err := parse("middleware: [{" + setting + "}]")
		if err != nil {
			t.Fatal(err)
		}
		step, _, _ := strings.Cut(setting, ":")
		_, err = pipeline.New(cfg, pipeline.Deps{})
		if err == nil || !strings.Contains(err.Error(), step+": "+want) {
			t.Errorf("%s: error %v does not name %s", setting, err, want)
		}
	}
}
