package serialport

import (
	"time"

	"github.com/penstock/penstock"
)

// Config says how a line is driven. A value that is left out has its default:
// 9600 baud, 8 data bits, no parity, 1 stop bit.
type Config struct {
	Device   string `yaml:"device" jsonschema_description:"path of the device; better one below /dev/serial/by-id, which stays the same when adapters are plugged in another order"`
	Baud     int    `yaml:"baud,omitempty" jsonschema_description:"bits per second, any that the driver can; 9600 when left out"`
	DataBits int    `yaml:"data_bits,omitempty" jsonschema_description:"5 to 8; 8 when left out"`
	Parity   Parity `yaml:"parity,omitempty" jsonschema_description:"none, even or odd; none when left out"`
	StopBits int    `yaml:"stop_bits,omitempty" jsonschema_description:"1 or 2; 1 when left out"`
	RS485    *RS485 `yaml:"rs485,omitempty" jsonschema_description:"the driver switches an RS-485 transceiver; leave it out for adapters that do it by themselves"`
}

// Parity is the check bit of a character.
type Parity string

// The parities. The empty one stands for none.
const (
	NoParity   Parity = "none"
	EvenParity Parity = "even"
	OddParity  Parity = "odd"
)

// RS485 says how the driver switches a transceiver between sending and
// receiving with the RTS signal.
type RS485 struct {
	RTSLow      bool          `yaml:"rts_low_on_send,omitempty" jsonschema_description:"RTS is low while sending and high after it; the other way round when left out"`
	DelayBefore time.Duration `yaml:"delay_before,omitempty" jsonschema_description:"from switching to the first bit, in whole milliseconds, at most 100ms"`
	DelayAfter  time.Duration `yaml:"delay_after,omitempty" jsonschema_description:"from the last bit to switching back, in whole milliseconds, at most 100ms"`
	Echo        bool          `yaml:"echo,omitempty" jsonschema_description:"receive while sending: the line's own echo comes back"`
	Terminate   bool          `yaml:"terminate,omitempty" jsonschema_description:"switch on the terminating resistor, where the hardware has one"`
}

const (
	minBaud       = 50
	maxBaud       = 4_000_000
	maxRS485Delay = 100 * time.Millisecond
)

// Validate returns an error of code [penstock.Invalid] that names the key.
func (c *Config) Validate() error {
	refuse := func(format string, args ...any) error { return penstock.Errorf(penstock.Invalid, format, args...) }
	switch w := c.withDefaults(); {
	case w.Device == "":
		return refuse("device: a serial line needs the path of its device, such as /dev/ttyUSB0")
	case w.Baud < minBaud || w.Baud > maxBaud:
		return refuse("baud: %d is outside %d to %d", w.Baud, minBaud, maxBaud)
	case w.DataBits < 5 || w.DataBits > 8:
		return refuse("data_bits: %d is none of 5, 6, 7 and 8", w.DataBits)
	case w.Parity != NoParity && w.Parity != EvenParity && w.Parity != OddParity:
		return refuse("parity: %q is none of none, even and odd", w.Parity)
	case w.StopBits != 1 && w.StopBits != 2:
		return refuse("stop_bits: %d is neither 1 nor 2", w.StopBits)
	}
	return c.RS485.validate()
}

func (r *RS485) validate() error {
	if r == nil {
		return nil
	}
	for _, d := range []time.Duration{r.DelayBefore, r.DelayAfter} {
		if d < 0 || d > maxRS485Delay || d%time.Millisecond != 0 {
			return penstock.Errorf(penstock.Invalid, "rs485: a delay of %s is not in whole milliseconds from 0 to %s", d, maxRS485Delay)
		}
	}
	return nil
}

// withDefaults returns the configuration with nothing left out.
func (c *Config) withDefaults() Config {
	w := *c
	if w.Baud == 0 {
		w.Baud = 9600
	}
	if w.DataBits == 0 {
		w.DataBits = 8
	}
	if w.Parity == "" {
		w.Parity = NoParity
	}
	if w.StopBits == 0 {
		w.StopBits = 1
	}
	return w
}

// Duration returns how long n characters take on the line, start, parity and
// stop bits counted.
func (c *Config) Duration(n int) time.Duration {
	w := c.withDefaults()
	bits := 1 + w.DataBits + w.StopBits
	if w.Parity != NoParity {
		bits++
	}
	return time.Duration(n) * time.Duration(bits) * time.Second / time.Duration(w.Baud)
}
