package diagnose

import (
	"errors"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
)

// Config are the settings of the diagnosis.
type Config struct {
	Window  config.Duration `yaml:"window" jsonschema_description:"what counts as now: errors, delays and signal are judged over this long, and beside as long before; 5s to 1h"`
	Unheard config.Duration `yaml:"unheard" jsonschema_description:"after how long without a report a controller whose rhythm is not known yet counts as silent; 10s to 48h"`
	Links   []LinkType      `yaml:"links,omitempty" jsonschema_description:"what signal is good enough, by type of link; the first that matches a controller holds"`
}

// LinkType says what signal links of one type need. A limit that is left out has
// the default of all links.
type LinkType struct {
	Type         string   `yaml:"type" jsonschema_description:"name of the type, such as radio, cellular or fibre"`
	Controllers  []string `yaml:"controllers" jsonschema_description:"the controllers whose links are of this type: names, in which * stands for any run of characters"`
	Drop         *float64 `yaml:"drop,omitempty" jsonschema_description:"dB below the controller's own baseline that count as weak, 1 to 40; 6 when left out"`
	RSSI         *float64 `yaml:"rssi,omitempty" jsonschema_description:"least RSSI in dBm; -100 when left out"`
	SNR          *float64 `yaml:"snr,omitempty" jsonschema_description:"least SNR in dB; 9 when left out"`
	OpticalPower *float64 `yaml:"optical_power,omitempty" jsonschema_description:"least received optical power in dBm; -28 when left out"`
	Attenuation  *float64 `yaml:"attenuation,omitempty" jsonschema_description:"most attenuation in dB; 30 when left out"`
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
	for i, l := range c.Links {
		refuse(l.Type == "", "links[%d].type: the type needs a name", i)
		refuse(len(l.Controllers) == 0, "links[%d].controllers: say whose links are of the type %q: names or patterns", i, l.Type)
		refuse(l.Drop != nil && !(*l.Drop >= 1 && *l.Drop <= 40), "links[%d].drop: it is 1 to 40 dB", i)
		for _, m := range []struct {
			key   string
			limit *float64
			low   float64
			high  float64
		}{
			{"rssi", l.RSSI, -140, 0}, {"snr", l.SNR, -30, 60}, {"optical_power", l.OpticalPower, -60, 20}, {"attenuation", l.Attenuation, 0, 200},
		} {
			refuse(m.limit != nil && !(*m.limit >= m.low && *m.limit <= m.high), "links[%d].%s: it is %g to %g", i, m.key, m.low, m.high)
		}
	}
	return errors.Join(problems...)
}

// Step returns how often the diagnosis is to be asked to judge.
func (c *Config) Step() time.Duration { return c.Window.Std() / nowBuckets }

// quantities are the signals that are judged, in the order of levels.
//
//lint:table
var quantities = [...]evidence.Quantity{evidence.RSSI, evidence.SNR, evidence.OpticalPower, evidence.Attenuation}

// levels are a value for each of the quantities.
type levels [len(quantities)]float64

// sense is -1 for a quantity that is better when it is lower.
func sense(q int) float64 {
	if quantities[q] == evidence.Attenuation {
		return -1
	}
	return 1
}

// limits are what the link of a controller needs.
type limits struct {
	kind   string
	drop   float64
	margin levels
}

func (c *Config) limitsOf(controller string) limits {
	l := limits{drop: 6, margin: levels{-100, 9, -28, 30}}
	for i := range c.Links {
		t := &c.Links[i]
		if !penstock.Scope(t.Controllers).Covers(controller) {
			continue
		}
		l.kind = t.Type
		for _, set := range []struct {
			from *float64
			to   *float64
		}{{t.Drop, &l.drop}, {t.RSSI, &l.margin[0]}, {t.SNR, &l.margin[1]}, {t.OpticalPower, &l.margin[2]}, {t.Attenuation, &l.margin[3]}} {
			if set.from != nil {
				*set.to = *set.from
			}
		}
		break
	}
	return l
}

// Margin is the worst value of a signal that is good enough.
type Margin struct {
	Quantity evidence.Quantity
	Limit    float64
	Most     bool // the limit is the most that is good, and not the least
}

// Margins returns what the signals of a controller's link have to be, in the order
// of the quantities, and the type of the link.
func (c *Config) Margins(controller string) (margins []Margin, linkType string) {
	l := c.limitsOf(controller)
	for q, quantity := range quantities {
		margins = append(margins, Margin{quantity, l.margin[q], sense(q) < 0})
	}
	return margins, l.kind
}
