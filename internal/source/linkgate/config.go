package linkgate

import (
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/seal"
)

// Config are the settings of the link protocol's listeners.
type Config struct {
	Window      config.Size     `yaml:"window" jsonschema_description:"bytes of reports that one controller may have under way, 4KiB to 1MiB"`
	Heartbeat   config.Duration `yaml:"heartbeat" jsonschema_description:"how long a controller keeps silent before it sends a heartbeat; after three times that its session ends"`
	Connections int             `yaml:"connections" jsonschema_description:"most TCP connections at once; one more is closed"`
	Sessions    int             `yaml:"sessions" jsonschema_description:"most controllers on one TCP connection, and a hundred times that over UDP"`
	Admit       int             `yaml:"admit" jsonschema_description:"new TCP connections a second; when all controllers come back at once the others wait, and their addresses take turns"`
	Datagram    config.Size     `yaml:"datagram" jsonschema_description:"bytes of the largest UDP datagram, 576B to 60KiB; above 1200 a path may split it and lose it more often"`
}

// Default is what a listener has when it is told nothing.
func Default() Config {
	return Config{
		Window: 64 << 10, Heartbeat: config.Duration(time.Minute), Connections: 20_000, Sessions: 256, Admit: 300,
		Datagram: seal.MaxDatagram,
	}
}

// Validate returns an error of code [penstock.Invalid] that names the key.
func (c Config) Validate() error {
	switch {
	case c.Window < 4<<10 || c.Window > link.MaxPayload:
		return penstock.Errorf(penstock.Invalid, "window: %s is outside 4KiB to 1MiB", c.Window)
	case c.Heartbeat.Std() < time.Second || c.Heartbeat.Std() > 24*time.Hour:
		return penstock.Errorf(penstock.Invalid, "heartbeat: %s is outside 1s to 24h", c.Heartbeat)
	case c.Connections < 1:
		return penstock.Errorf(penstock.Invalid, "connections: %d lets nobody in: at least 1", c.Connections)
	case c.Sessions < 1 || c.Sessions > 1<<16:
		return penstock.Errorf(penstock.Invalid, "sessions: %d is outside 1 to 65536", c.Sessions)
	case c.Admit < 1:
		return penstock.Errorf(penstock.Invalid, "admit: %d lets nobody in: at least 1", c.Admit)
	case c.Datagram < 576 || c.Datagram > 60<<10:
		return penstock.Errorf(penstock.Invalid, "datagram: %s is outside 576B to 60KiB", c.Datagram)
	}
	return nil
}

func (c Config) idle() time.Duration { return 3 * c.Heartbeat.Std() }
