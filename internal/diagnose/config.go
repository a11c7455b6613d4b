package diagnose

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/diagnose/signal"
)

// Config are the settings of the diagnosis.
type Config struct {
	Window  config.Duration   `yaml:"window" jsonschema_description:"what counts as now: errors, delays and signal are judged over this long, and beside as long before; 5s to 1h"`
	Unheard config.Duration   `yaml:"unheard" jsonschema_description:"after how long without a report a controller whose rhythm is not known yet counts as silent; 10s to 48h"`
	Links   []signal.LinkType `yaml:"links,omitempty" jsonschema_description:"what signal is good enough, by type of link; the first that matches a controller holds"`
}

// Default is what the diagnosis works with when it is told nothing.
func Default() Config {
	return Config{Window: config.Duration(time.Minute), Unheard: config.Duration(15 * time.Minute)}
}

// Validate returns all that is wrong, each with its key.
func (c *Config) Validate() error {
	var problems []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
		}
	}
	w, u := c.Window.Std(), c.Unheard.Std()
	refuse(w < 5*time.Second || w > time.Hour, "window: %s is outside 5s to 1h", c.Window)
	refuse(u < 10*time.Second || u > 48*time.Hour, "unheard: %s is outside 10s to 48h", c.Unheard)
	for i := range c.Links {
		problems = append(problems, c.Links[i].Problems(fmt.Sprintf("links[%d]", i))...)
	}
	return errors.Join(problems...)
}

// Step returns how often the diagnosis is to be asked to judge.
func (c *Config) Step() time.Duration { return c.Window.Std() / nowBuckets }

// Margins returns what the signals of a controller's link have to be, in the order
// of the quantities, and the type of the link.
func (c *Config) Margins(controller string) (margins []signal.Margin, linkType string) {
	l := signal.LimitsOf(c.Links, controller)
	return l.Margins(), l.Type
}
