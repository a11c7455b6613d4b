package pipeline

import (
	"errors"
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/script"
	"github.com/penstock/penstock/internal/suggest"
)

// Config is the list of steps, in their order. In YAML an entry is the name of a
// step, or a map with the name as its only key and the settings below it. An
// empty list stands for [Default].
type Config []Step

// Step is one entry of the list: exactly one field is set.
type Step struct {
	LimitPeer    *LimitPeerConfig    `yaml:"limit_peer,omitempty" jsonschema_description:"bounds what one address may send before it is known"`
	Authenticate *AuthenticateConfig `yaml:"authenticate,omitempty" jsonschema_description:"finds out who sends"`
	Limit        *LimitConfig        `yaml:"limit,omitempty" jsonschema_description:"bounds what one credential may send"`
	Log          *LogConfig          `yaml:"log,omitempty" jsonschema_description:"writes a sample of what comes, and what is refused"`
	Checksum     *ChecksumConfig     `yaml:"checksum,omitempty" jsonschema_description:"verifies the checksum that came with a body"`
	Decode       *DecodeConfig       `yaml:"decode,omitempty" jsonschema_description:"turns a body into reports"`
	Script       *script.Config      `yaml:"script,omitempty" jsonschema_description:"runs the user's own JavaScript on each report"`
	Validate     *ValidateConfig     `yaml:"validate,omitempty" jsonschema_description:"checks types, units, limits, statuses and times"`
	Stamp        *StampConfig        `yaml:"stamp,omitempty" jsonschema_description:"gives samples without a time the gateway's"`

	unread bool // UnmarshalYAML refused the entry
}

// The names of the steps.
const (
	limitPeerName    = "limit_peer"
	authenticateName = "authenticate"
	limitName        = "limit"
	logName          = "log"
	checksumName     = "checksum"
	decodeName       = "decode"
	scopeName        = "scope"    // always after decode, never listed
	registerName     = "register" // always after scope, never listed
	scriptName       = "script"
	validateName     = "validate"
	stampName        = "stamp"
	learnName        = "learn"  // always last, never listed
	signalsName      = "signal" // behind it, looks at what passed
)

// stepNames are the names that a list may have, in the order in which they are
// told to people.
var stepNames = []string{
	limitPeerName, authenticateName, limitName, logName, checksumName, decodeName, scriptName, validateName, stampName,
}

// Default returns the list that stands when none is configured.
func Default() Config {
	var c Config
	for _, name := range []string{authenticateName, limitName, logName, checksumName, decodeName, validateName, stampName} {
		step, _ := defaultStep(name)
		c = append(c, step)
	}
	return c
}

// defaultStep returns the step of that name with its default settings.
func defaultStep(name string) (Step, error) {
	switch name {
	case limitPeerName:
		return Step{LimitPeer: defaultLimitPeer()}, nil
	case authenticateName:
		return Step{Authenticate: defaultAuthenticate()}, nil
	case limitName:
		return Step{Limit: defaultLimit()}, nil
	case logName:
		return Step{Log: defaultLog()}, nil
	case checksumName:
		return Step{Checksum: &ChecksumConfig{}}, nil
	case decodeName:
		return Step{Decode: defaultDecode()}, nil
	case scriptName:
		return Step{Script: script.Default()}, nil
	case validateName:
		return Step{Validate: defaultValidate()}, nil
	case stampName:
		return Step{Stamp: &StampConfig{}}, nil
	case scopeName, registerName, learnName, signalsName:
		return Step{}, penstock.Errorf(penstock.Invalid, "step %q always runs and has its own place: leave it out of the list", name)
	}
	if near := suggest.Nearest(name, stepNames); near != "" {
		return Step{}, penstock.Errorf(penstock.Invalid, "there is no step %q: did you mean %q?", name, near)
	}
	return Step{}, penstock.Errorf(penstock.Invalid, "there is no step %q: the steps are %s", name, strings.Join(stepNames, ", "))
}

// UnmarshalYAML reads a name, or a map with a name as its only key. Settings that
// are left out take their defaults.
func (s *Step) UnmarshalYAML(unmarshal func(any) error) error {
	name, bare, err := entryName(unmarshal)
	if err == nil {
		*s, err = defaultStep(name)
	}
	if err == nil && !bare {
		type plain Step // without this method; what is given overwrites the defaults
		err = unmarshal((*plain)(s))
	}
	if err != nil {
		*s = Step{unread: true}
	}
	return err
}

// entryName returns the name of the step in an entry, and whether it is bare: no
// settings come with it.
func entryName(unmarshal func(any) error) (name string, bare bool, err error) {
	if unmarshal(&name) == nil {
		return name, true, nil
	}
	var keys map[string]any
	if err := unmarshal(&keys); err != nil || len(keys) != 1 {
		return "", false, penstock.Errorf(penstock.Invalid, "a step is its name, or its name with settings: {%s: {…}}", validateName)
	}
	var settings any
	for name, settings = range keys {
	}
	return name, settings == nil, nil
}

// settings are those of a step: Validate returns an error of code
// [penstock.Invalid] when one of them breaks a rule.
type settings interface{ Validate() error }

// name returns the name and the settings of the step, and an empty name unless
// exactly one is set.
func (s *Step) name() (string, settings) {
	var name string
	var found settings
	count := 0
	note := func(n string, set bool, c settings) {
		if set {
			name, found = n, c
			count++
		}
	}
	note(limitPeerName, s.LimitPeer != nil, s.LimitPeer)
	note(authenticateName, s.Authenticate != nil, s.Authenticate)
	note(limitName, s.Limit != nil, s.Limit)
	note(logName, s.Log != nil, s.Log)
	note(checksumName, s.Checksum != nil, s.Checksum)
	note(decodeName, s.Decode != nil, s.Decode)
	note(scriptName, s.Script != nil, s.Script)
	note(validateName, s.Validate != nil, s.Validate)
	note(stampName, s.Stamp != nil, s.Stamp)
	if count != 1 {
		return "", nil
	}
	return name, found
}

// neededSteps are the steps that no list may lack, and why.
var neededSteps = []struct{ name, why string }{
	{authenticateName, "without it anybody could send"},
	{checksumName, "without it a checksum that came with a body would not be verified"},
	{decodeName, "without it there are no reports"},
	{validateName, "without it a point would not keep its type"},
	{stampName, "without it samples without a time would stand in the year 1970"},
}

// order says which step must come before which, where both are listed.
var order = []struct{ first, second, why string }{
	{limitPeerName, authenticateName, "it bounds what an address may cost that is not known yet"},
	{authenticateName, limitName, "the limits are those of a credential"},
	{authenticateName, checksumName, "the bytes of a sender that is not known are not worth reading"},
	{authenticateName, decodeName, "the bytes of a sender that is not known must not be decoded"},
	{limitName, decodeName, "what is over a limit must not cost its decoding"},
	{logName, decodeName, "it chooses what to log before the work is done"},
	{checksumName, decodeName, "damaged bytes must not be decoded"},
	{decodeName, scriptName, "it changes reports"},
	{scriptName, validateName, "what a script makes of a report is checked as if it had come so"},
	{decodeName, validateName, "it judges reports"},
	{decodeName, stampName, "it changes reports"},
}

// Validate returns all that is wrong with the list itself: steps that are
// missing, listed twice, or in an order that is not safe. Of a list with an entry
// that could not be read it says nothing: that entry may be what seems to miss.
func (c Config) Validate() error {
	if len(c) == 0 || slices.ContainsFunc(c, func(s Step) bool { return s.unread }) {
		return nil
	}
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	var names []string
	for i := range c {
		name, _ := c[i].name()
		if name == "" {
			refuse("entry %d of the steps must name exactly one step", i+1)
			continue
		}
		if slices.Contains(names, name) {
			refuse("step %q is listed twice", name)
		}
		names = append(names, name)
	}
	for _, needed := range neededSteps {
		if !slices.Contains(names, needed.name) {
			refuse("step %q is missing: %s", needed.name, needed.why)
		}
	}
	for _, rule := range order {
		first, second := slices.Index(names, rule.first), slices.Index(names, rule.second)
		if first >= 0 && second >= 0 && first > second {
			refuse("step %q must come before %q: %s", rule.first, rule.second, rule.why)
		}
	}
	return errors.Join(problems...)
}

// check returns all that is wrong with the list and the settings in it.
func (c Config) check() error {
	problems := []error{c.Validate()}
	for i := range c {
		if c[i].unread {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "entry %d of the steps could not be read", i+1))
		}
		name, s := c[i].name()
		if s == nil {
			continue
		}
		if err := s.Validate(); err != nil {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "%s: %w", name, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return penstock.Errorf(penstock.Invalid, "%w", err)
	}
	return nil
}
