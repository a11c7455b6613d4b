package script

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
)

// OnError says what becomes of a report on which the script failed.
type OnError string

// What may become of it.
const (
	Pass         OnError = "pass"       // it goes on unchanged
	ToQuarantine OnError = "quarantine" // it is accepted, and kept for a person with what went wrong
	Reject       OnError = "reject"     // it is refused, for good
)

// Config are the settings of the step.
type Config struct {
	File    string          `yaml:"file" jsonschema_description:"JavaScript file that exports onReport(report, ctx); read again when the configuration is"`
	Timeout config.Duration `yaml:"timeout" jsonschema_description:"how long the script may take for one report"`
	Memory  config.Size     `yaml:"memory" jsonschema_description:"memory that each of its machines may use"`
	OnError OnError         `yaml:"on_error" jsonschema_description:"what becomes of a report on which the script fails: pass (it goes on unchanged), quarantine (it is kept for a person) or reject"`
	State   config.Size     `yaml:"state" jsonschema_description:"bytes of ctx.state that are kept of one controller, as JSON"`
	Workers int             `yaml:"workers" jsonschema_description:"machines that run the script at once; each takes a processor while it runs, and up to its memory"`
}

// Default returns the settings that stand when none are given; a file is missing.
func Default() *Config {
	return &Config{
		Timeout: config.Duration(250 * time.Millisecond), Memory: 16 << 20,
		OnError: Pass, State: 4 << 10, Workers: 4,
	}
}

// The bounds of the settings.
const (
	minTimeout = config.Duration(time.Millisecond)
	maxTimeout = config.Duration(10 * time.Second)
	minMemory  = 1 << 20
	maxMemory  = 256 << 20
	maxState   = 64 << 10
	maxWorkers = 64
	maxSource  = 1 << 20
)

// Validate returns all that is wrong with the settings, with code
// [penstock.Invalid].
func (c *Config) Validate() error {
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	if c.File == "" {
		refuse("file: name the JavaScript file of the script")
	}
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		refuse("timeout: %v is not between %v and %v", c.Timeout, minTimeout, maxTimeout)
	}
	if c.Memory < minMemory || c.Memory > maxMemory {
		refuse("memory: %v is not between 1MiB and 256MiB", c.Memory)
	}
	if c.State > maxState {
		refuse("state: %v is more than 64KiB", c.State)
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		refuse("workers: %d is not between 1 and %d", c.Workers, maxWorkers)
	}
	switch c.OnError {
	case Pass, ToQuarantine, Reject:
	default:
		refuse("on_error: %q is none of pass, quarantine and reject", string(c.OnError))
	}
	return errors.Join(problems...)
}

// name is what the script is called in messages and in the stacks of its errors.
func (c *Config) name() string { return filepath.Base(c.File) }
