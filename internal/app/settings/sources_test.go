package settings_test

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/amqp"
	"github.com/penstock/penstock/internal/source/modbus"
	"github.com/penstock/penstock/internal/source/mqttclient"
	"github.com/penstock/penstock/internal/source/opcua"
)

// lease returns the lease of a source.
func lease(s settings.Source) *source.Lease {
	s.Name = "pumps"
	c := settings.Config{Sources: []settings.Source{s}}
	specs := c.SourceSpecs()
	return specs[len(specs)-1].Lease
}

// TestLeases says which sources one node at a time reads, and which names are one lease.
func TestLeases(t *testing.T) {
	yes, no := true, false
	line := func(tcp string) *modbus.Config { return &modbus.Config{Lines: []modbus.Line{{TCP: tcp}}} }
	for name, c := range map[string]struct {
		source        settings.Source
		leased, alone bool
	}{
		"modbus":         {settings.Source{Modbus: line("a:502")}, true, true},
		"opcua":          {settings.Source{OPCUA: &opcua.Config{}}, true, true},
		"mqtt":           {settings.Source{MQTT: &mqttclient.Config{}}, true, false},
		"mqtt shared":    {settings.Source{MQTT: &mqttclient.Config{Share: "group"}}, false, false},
		"amqp":           {settings.Source{AMQP: &amqp.Config{}}, false, false},
		"amqp if wanted": {settings.Source{AMQP: &amqp.Config{}, Lease: &yes}, true, false},
		"modbus if not":  {settings.Source{Modbus: line("a:502"), Lease: &no}, false, false},
	} {
		if l := lease(c.source); (l != nil) != c.leased || l != nil && l.Alone != c.alone {
			t.Errorf("%s: %+v", name, l)
		}
	}
	one, same, other := lease(settings.Source{Modbus: line("a:502")}), lease(settings.Source{Modbus: line("a:502"), Lease: &yes}), lease(settings.Source{Modbus: line("b:502")})
	if one.Name != same.Name || one.Name == other.Name || !strings.HasPrefix(one.Name, "source/pumps/") {
		t.Errorf("the names are %s, %s and %s", one.Name, same.Name, other.Name)
	}
}
