package linkgate

import (
	"errors"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/link"
)

// SerialConfig is a serial line on which controllers speak the link protocol.
type SerialConfig struct {
	Serial      serialport.Config `yaml:"serial" jsonschema_description:"the line; 8 data bits"`
	Controllers []Station         `yaml:"controllers" jsonschema_description:"who is on the line"`
	Sealed      bool              `yaml:"sealed,omitempty" jsonschema_description:"every block is sealed under the key of its controller (penstock controllers add NAME --key), and what is not is refused: for lines that others can reach, such as a radio"`
	Turn        config.Size       `yaml:"turn,omitempty" jsonschema_description:"bytes that a controller may put on the line in its turn, 256B to 64KiB, and so the bound of its frames; 512B when left out"`
	Turnaround  time.Duration     `yaml:"turnaround,omitempty" jsonschema_description:"what a controller may take to begin its answer, 10ms to 10s; 200ms when left out"`
	Idle        time.Duration     `yaml:"idle,omitempty" jsonschema_description:"between two turns of a controller that has nothing waiting, at most 10m; 1s when left out"`
	Window      config.Size       `yaml:"window,omitempty" jsonschema_description:"bytes of reports that one controller may have under way, 1KiB to 1MiB; 8KiB when left out"`
	Heartbeat   time.Duration     `yaml:"heartbeat,omitempty" jsonschema_description:"how long a controller keeps silent before it sends a heartbeat, 1s to 24h; a session ends after three times that. 1m when left out"`
}

// Station is a controller on a line.
type Station struct {
	Name    string `yaml:"name" jsonschema_description:"the controller's name: who speaks under the address"`
	Address uint16 `yaml:"address,omitempty" jsonschema_description:"its address on the line, 1 to 65534; left out or 0 for the only one on a full-duplex line, which speaks when it likes"`
}

// Bounds of a line.
const (
	maxStations   = 255
	lastAddress   = 65534
	maxTurn       = 64 << 10
	minTurn       = 256
	serialWindow  = 8 << 10
	defaultTurn   = 512
	maxIdle       = 10 * time.Minute
	maxTurnaround = 10 * time.Second
	minTurnaround = 10 * time.Millisecond
)

// withDefaults returns the configuration with nothing left out.
func (c SerialConfig) withDefaults() SerialConfig {
	if c.Turn == 0 {
		c.Turn = defaultTurn
	}
	if c.Turnaround == 0 {
		c.Turnaround = 200 * time.Millisecond
	}
	if c.Idle == 0 {
		c.Idle = time.Second
	}
	if c.Window == 0 {
		c.Window = serialWindow
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = time.Minute
	}
	return c
}

// Validate returns all that is wrong, each with its key.
func (c *SerialConfig) Validate() error {
	var problems []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
		}
	}
	if err := c.Serial.Validate(); err != nil {
		problems = append(problems, penstock.Errorf(penstock.Invalid, "serial.%w", err))
	}
	w := c.withDefaults()
	refuse(w.Serial.DataBits != 0 && w.Serial.DataBits != 8, "serial.data_bits: the link protocol needs 8, not %d", w.Serial.DataBits)
	refuse(w.Turn < minTurn || w.Turn > maxTurn, "turn: %s is outside 256B to 64KiB", w.Turn)
	refuse(w.Turnaround < minTurnaround || w.Turnaround > maxTurnaround, "turnaround: %s is outside 10ms to 10s", w.Turnaround)
	refuse(w.Idle < 0 || w.Idle > maxIdle, "idle: %s is not within 10m", w.Idle)
	refuse(w.Window < 1<<10 || w.Window > link.MaxPayload, "window: %s is outside 1KiB to 1MiB", w.Window)
	refuse(w.Heartbeat < time.Second || w.Heartbeat > 24*time.Hour, "heartbeat: %s is outside 1s to 24h", w.Heartbeat)
	return errors.Join(append(problems, c.checkStations())...)
}

func (c *SerialConfig) checkStations() error {
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	if n := len(c.Controllers); n < 1 || n > maxStations {
		refuse("controllers: %d are on the line: name 1 to %d of them", n, maxStations)
	}
	names, addresses := map[string]bool{}, map[uint16]bool{}
	for _, s := range c.Controllers {
		if err := penstock.CheckControllerName(s.Name); err != nil {
			refuse("controllers: address %d: %w", s.Address, err)
		}
		switch {
		case names[s.Name]:
			refuse("controllers: %q stands there twice", s.Name)
		case addresses[s.Address]:
			refuse("controllers: %q has the address %d of another", s.Name, s.Address)
		case s.Address > lastAddress:
			refuse("controllers: %q has the address %d: the last one is %d", s.Name, s.Address, lastAddress)
		case s.Address == 0 && len(c.Controllers) > 1:
			refuse("controllers: %q needs an address of 1 to %d: it shares the line", s.Name, lastAddress)
		}
		names[s.Name], addresses[s.Address] = true, true
	}
	return errors.Join(problems...)
}

// polled tells whether the gateway gives turns.
func (c *SerialConfig) polled() bool { return c.Controllers[0].Address != 0 }
