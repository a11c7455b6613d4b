package modbus

import (
	"time"

	"github.com/penstock/penstock/internal/serialport"
)

// Config are the devices of one source.
type Config struct {
	Models map[string]Model `yaml:"models,omitempty" jsonschema_description:"what devices of one kind have to tell, by a name that devices refer to"`
	Lines  []Line           `yaml:"lines" jsonschema_description:"the lines and connections on which devices are polled; each on its own, so that none waits for another"`
	Buffer int              `yaml:"buffer,omitempty" jsonschema_description:"reports of a line that wait in memory while the node takes none, 1 to 100000; then the oldest is dropped and counted as a gap; 1000 when left out"`
}

// Line is one way to devices, on which one request is under way at a time. It is
// exactly one of a TCP address, an address for RTU over TCP, or a serial line.
type Line struct {
	Name       string             `yaml:"name,omitempty" jsonschema_description:"name of the line in logs and counts, behind the source's; needed when there is more than one line"`
	TCP        string             `yaml:"tcp,omitempty" jsonschema_description:"host:port of a Modbus TCP device or gateway"`
	RTUOverTCP string             `yaml:"rtu_over_tcp,omitempty" jsonschema_description:"host:port of a serial server that passes RTU frames on as they are"`
	Serial     *serialport.Config `yaml:"serial,omitempty" jsonschema_description:"a serial line of this machine, in RTU framing"`
	Timeout    time.Duration      `yaml:"timeout,omitempty" jsonschema_description:"how long a device may take to answer, the time on a serial line not counted; 1s when left out"`
	Retries    *int               `yaml:"retries,omitempty" jsonschema_description:"how often a request is repeated when a device that answered before does not, 0 to 10; 1 when left out"`
	Demote     Demote             `yaml:"demote,omitempty" jsonschema_description:"when a device is taken for dead, and how it is probed then"`
	Quirks     Quirks             `yaml:"quirks,omitempty" jsonschema_description:"what the other end does in its own way"`
	Devices    []Device           `yaml:"devices" jsonschema_description:"who is polled on this line"`
}

// Demote says when a device is taken for dead.
type Demote struct {
	After int           `yaml:"after,omitempty" jsonschema_description:"polls in a row without any answer, 1 to 100; 3 when left out"`
	Probe time.Duration `yaml:"probe,omitempty" jsonschema_description:"the longest time between two probes of a device that is taken for dead, from 1s on; the first come sooner; 1m when left out"`
}

// Quirks are ways in which equipment differs from the standard.
type Quirks struct {
	NoTransactionEcho bool          `yaml:"no_transaction_echo,omitempty" jsonschema_description:"the gateway does not send the transaction's number back; the connection is then made anew after each timeout"`
	NoUnitEcho        bool          `yaml:"no_unit_echo,omitempty" jsonschema_description:"the device does not send the unit's number back over TCP"`
	OneConnection     bool          `yaml:"one_connection,omitempty" jsonschema_description:"the device serves one connection: it is given back between the polls, so that others get theirs"`
	Pause             time.Duration `yaml:"pause,omitempty" jsonschema_description:"kept between an answer and the next request, at most 1s"`
	Echo              bool          `yaml:"echo,omitempty" jsonschema_description:"the line sends our own bytes back, as some RS-485 adapters do"`
}

// Device is one polled device. What it has to tell stands in a model, or here.
type Device struct {
	Controller   string        `yaml:"controller" jsonschema_description:"name of the controller"`
	Unit         uint8         `yaml:"unit" jsonschema_description:"the device's number on the line: 1 to 247 in RTU framing, 0 to 255 over TCP"`
	Model        string        `yaml:"model,omitempty" jsonschema_description:"name of the model that says what the device has to tell"`
	Groups       []Group       `yaml:"groups,omitempty" jsonschema_description:"what the device has to tell, where no model says it"`
	CountFrom    int           `yaml:"count_from,omitempty" jsonschema_description:"number of the first register where an address is written as a word and a number: 0 or 1, as the manufacturer counts; 0 when left out"`
	MaxRegisters int           `yaml:"max_registers,omitempty" jsonschema_description:"registers that the device gives at once, 1 to 125; 125 when left out"`
	MaxGap       *int          `yaml:"max_gap,omitempty" jsonschema_description:"registers that nobody wants and that are read all the same to save a request, 0 to 124; 10 when left out"`
	Diagnostics  time.Duration `yaml:"diagnostics,omitempty" jsonschema_description:"how often the device is asked for its own counts of messages and checksum errors (function 8), from 1s on; never when left out"`
}

// Model is what devices of one kind have to tell.
type Model struct {
	Groups       []Group `yaml:"groups" jsonschema_description:"points that are polled together"`
	CountFrom    int     `yaml:"count_from,omitempty" jsonschema_description:"as for a device"`
	MaxRegisters int     `yaml:"max_registers,omitempty" jsonschema_description:"as for a device"`
	MaxGap       *int    `yaml:"max_gap,omitempty" jsonschema_description:"as for a device"`
}

// Group are points that are polled together, and become one report.
type Group struct {
	Every   time.Duration `yaml:"every" jsonschema_description:"interval of the polls, 10ms to 24h; they stand at whole multiples of it, and so do the times of the samples"`
	Timeout time.Duration `yaml:"timeout,omitempty" jsonschema_description:"in place of the line's"`
	Retries *int          `yaml:"retries,omitempty" jsonschema_description:"in place of the line's"`
	Points  []Point       `yaml:"points" jsonschema_description:"the points"`
}

// Point is one signal of a device.
type Point struct {
	Name    string      `yaml:"name" jsonschema_description:"name of the point"`
	At      Address     `yaml:"at" jsonschema_description:"where it stands: a number of 5 or 6 digits as in 40101, or a word (coil, discrete, input, holding) and a number as in 'holding 100'; a bit of a register as in 'holding 100.3'"`
	Type    Type        `yaml:"type,omitempty" jsonschema_description:"bool, u16, i16, u32, i32, u64, i64, f32, f64, bcd16, bcd32 or text; when left out bool for bits and u16 for registers"`
	Order   Order       `yaml:"order,omitempty" jsonschema_description:"order of bytes: ABCD (as the standard has it), CDAB (low word first), BADC (bytes of a word swapped), DCBA (both); ABCD when left out"`
	Length  int         `yaml:"length,omitempty" jsonschema_description:"registers of a text, 1 to 125"`
	Scale   *float64    `yaml:"scale,omitempty" jsonschema_description:"factor of the number; the point is a float64 then"`
	Offset  float64     `yaml:"offset,omitempty" jsonschema_description:"added after the factor; the point is a float64 then"`
	Unit    string      `yaml:"unit,omitempty" jsonschema_description:"unit (UCUM) of the value"`
	Invalid []uint64    `yaml:"invalid,omitempty" jsonschema_description:"contents of the registers, as a whole number, that say that there is no value, as in 0x8000"`
	Status  *StatusBits `yaml:"status,omitempty" jsonschema_description:"a register whose bits tell whether the value is good"`
}

// StatusBits are bits beside a value that tell how good it is.
type StatusBits struct {
	At        Address `yaml:"at" jsonschema_description:"the register, which must be in reach of the group; it is kept as the native quality"`
	Bad       uint16  `yaml:"bad,omitempty" jsonschema_description:"bits of which any makes the value bad, as in 0x0003"`
	Uncertain uint16  `yaml:"uncertain,omitempty" jsonschema_description:"bits of which any makes the value uncertain"`
}

// The defaults and limits of the settings.
const (
	defaultTimeout  = time.Second
	defaultRetries  = 1
	defaultDemote   = 3
	defaultProbe    = time.Minute
	defaultBuffer   = 1000
	defaultGap      = 10
	minEvery        = 10 * time.Millisecond
	maxEvery        = 24 * time.Hour
	minTimeout      = 5 * time.Millisecond
	maxTimeout      = time.Minute
	maxRetries      = 10
	maxDemote       = 100
	minProbe        = time.Second
	maxProbe        = 24 * time.Hour
	maxPause        = time.Second
	maxBuffer       = 100_000
	maxLines        = 10_000
	maxDevices      = 256   // on one line
	maxUnit         = 247   // in RTU framing; the numbers above are reserved
	maxGroupPoints  = 2_000 // so that a report stays within its limits
	maxDeviceGroups = 64
)
