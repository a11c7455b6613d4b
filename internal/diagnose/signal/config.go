package signal

import (
	"github.com/penstock/penstock"
)

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

// Problems returns all that is wrong, each with its key below that of the type.
func (l *LinkType) Problems(at string) (problems []error) {
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, penstock.Errorf(penstock.Invalid, at+"."+format, args...))
		}
	}
	refuse(l.Type == "", "type: the type needs a name")
	refuse(len(l.Controllers) == 0, "controllers: say whose links are of the type %q: names or patterns", l.Type)
	refuse(l.Drop != nil && !(*l.Drop >= 1 && *l.Drop <= 40), "drop: it is 1 to 40 dB")
	for _, m := range []struct {
		key   string
		limit *float64
		low   float64
		high  float64
	}{
		{"rssi", l.RSSI, -140, 0}, {"snr", l.SNR, -30, 60}, {"optical_power", l.OpticalPower, -60, 20}, {"attenuation", l.Attenuation, 0, 200},
	} {
		refuse(m.limit != nil && !(*m.limit >= m.low && *m.limit <= m.high), "%s: it is %g to %g", m.key, m.low, m.high)
	}
	return problems
}
