package modbus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source/modbus"
)

// valid is a configuration with which nothing is wrong.
func valid() *modbus.Config {
	return &modbus.Config{
		Models: map[string]modbus.Model{"station": {Groups: everySecond(point("level", "30001", ""))}},
		Lines: []modbus.Line{
			{Name: "a", TCP: "192.0.2.7:502", Devices: []modbus.Device{{Controller: "one", Unit: 255, Model: "station"}}},
			{Name: "b", Serial: &serialport.Config{Device: "/dev/ttyUSB0"}, Devices: []modbus.Device{
				{Controller: "two", Unit: 1, Groups: everySecond(point("flow", "40101", modbus.F32), point("on", "40103.1", ""))},
				{Controller: "three", Unit: 2, Model: "station"},
			}},
		},
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	eleven, zero := 11, 0.0
	type config = modbus.Config
	device := func(c *config) *modbus.Device { return &c.Lines[1].Devices[0] }
	flow := func(c *config) *modbus.Point { return &device(c).Groups[0].Points[0] }
	for _, c := range []struct {
		spoil func(c *config)
		want  string
	}{
		{func(c *config) { c.Lines = nil }, "lines: "},
		{func(c *config) { c.Buffer = -1 }, "buffer: "},
		{func(c *config) { c.Lines[0].Name = "" }, "lines[0].name: "},
		{func(c *config) { c.Lines[1].Name = "a" }, "lines[1].name: "},
		{func(c *config) { c.Lines[0].TCP = "192.0.2.7" }, "lines[0].tcp: "},
		{func(c *config) { c.Lines[0].RTUOverTCP = "x:1" }, "lines[0]: says 2 ways"},
		{func(c *config) { c.Lines[0].TCP = "" }, "lines[0]: says 0 ways"},
		{func(c *config) { c.Lines[0].Timeout = time.Hour }, "lines[0].timeout: "},
		{func(c *config) { c.Lines[0].Retries = &eleven }, "lines[0].retries: "},
		{func(c *config) { c.Lines[0].Demote.After = 101 }, "lines[0].demote.after: "},
		{func(c *config) { c.Lines[0].Demote.Probe = time.Millisecond }, "lines[0].demote.probe: "},
		{func(c *config) { c.Lines[0].Quirks.Pause = time.Minute }, "lines[0].quirks.pause: "},
		{func(c *config) { c.Lines[0].Quirks.Echo = true }, "lines[0].quirks.echo: "},
		{func(c *config) { c.Lines[1].Quirks.NoUnitEcho = true }, "lines[1].quirks: "},
		{func(c *config) { c.Lines[0].Devices = nil }, "lines[0].devices: "},
		{func(c *config) { device(c).Unit = 248 }, "lines[1].devices[0].unit: 248"},
		{func(c *config) { device(c).Unit = 2 }, "lines[1].devices[1].unit: 2"},
		{func(c *config) { device(c).Controller = "one" }, "lines[1].devices[0].controller: "},
		{func(c *config) { device(c).Controller = "a/b" }, "lines[1].devices[0].controller: "},
		{func(c *config) { device(c).Model = "station" }, "lines[1].devices[0]: has a model"},
		{func(c *config) { c.Lines[0].Devices[0].Model = "pump" }, `lines[0].devices[0].model: "pump" is none of the models: station`},
		{func(c *config) { flow(c).Type, flow(c).Invalid = modbus.I16, []uint64{0xFFFF, 0x10000} }, "lines[1].devices[0].groups[0].points[0].invalid: 0x10000"},
		{func(c *config) { device(c).Diagnostics = time.Millisecond }, "lines[1].devices[0].diagnostics: "},
		{func(c *config) { device(c).CountFrom = 2 }, "lines[1].devices[0].count_from: "},
		{func(c *config) { device(c).MaxRegisters = 126 }, "lines[1].devices[0].max_registers: "},
		{func(c *config) { device(c).MaxRegisters = 1 }, "lines[1].devices[0].groups[0].points[0].type: it takes 2"},
		{func(c *config) { device(c).Groups = nil }, "lines[1].devices[0].groups: "},
		{func(c *config) { device(c).Groups[0].Every = 0 }, "lines[1].devices[0].groups[0].every: "},
		{func(c *config) { device(c).Groups[0].Points = nil }, "lines[1].devices[0].groups[0].points: "},
		{func(c *config) { flow(c).Name = "on" }, "lines[1].devices[0].groups[0].points[1].name: "},
		{func(c *config) { flow(c).Name = "" }, "lines[1].devices[0].groups[0].points[0].name: "},
		{func(c *config) { flow(c).Unit = strings.Repeat("m", 99) }, "lines[1].devices[0].groups[0].points[0].unit: "},
		{func(c *config) { flow(c).At = modbus.Address{} }, "lines[1].devices[0].groups[0].points[0].at: is missing"},
		{func(c *config) { flow(c).At = modbus.At("465536") }, "lines[1].devices[0].groups[0].points[0].at: reaches outside"},
		{func(c *config) { flow(c).At, device(c).CountFrom = modbus.At("holding 0"), 1 }, "lines[1].devices[0].groups[0].points[0].at: reaches outside"},
		{func(c *config) { flow(c).Type = "f16" }, "lines[1].devices[0].groups[0].points[0].type: "},
		{func(c *config) { flow(c).Type = modbus.Bool }, "lines[1].devices[0].groups[0].points[0].at: a bool"},
		{func(c *config) { flow(c).At = modbus.At("coil 1") }, "lines[1].devices[0].groups[0].points[0].type: what is a single bit"},
		{func(c *config) { flow(c).Order = "BACD" }, "lines[1].devices[0].groups[0].points[0].order: "},
		{func(c *config) { flow(c).Length = 3 }, "lines[1].devices[0].groups[0].points[0].length: "},
		{func(c *config) { flow(c).Type = modbus.Text }, "lines[1].devices[0].groups[0].points[0].length: "},
		{func(c *config) { flow(c).Scale = &zero }, "lines[1].devices[0].groups[0].points[0].scale: "},
		{func(c *config) { device(c).Groups[0].Points[1].Offset = 1 }, "lines[1].devices[0].groups[0].points[1]: scale"},
		{func(c *config) { flow(c).Status = &modbus.StatusBits{At: modbus.At("coil 3")} }, "lines[1].devices[0].groups[0].points[0].status.at: "},
	} {
		spoiled := valid()
		c.spoil(spoiled)
		err := spoiled.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		} else if penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%s has the code %v", c.want, penstock.CodeOf(err))
		}
	}
}
