package serialport_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/serialport"
)

func TestValidateNamesTheKey(t *testing.T) {
	const tty = "/dev/ttyUSB0"
	for _, c := range []struct {
		config serialport.Config
		want   string // the beginning of the refusal, empty for none
	}{
		{serialport.Config{Device: tty}, ""},
		{serialport.Config{Device: tty, Baud: 250_000, DataBits: 7, Parity: serialport.OddParity, StopBits: 2}, ""},
		{serialport.Config{Device: tty, RS485: &serialport.RS485{DelayBefore: 2 * time.Millisecond}}, ""},
		{serialport.Config{}, "device: "},
		{serialport.Config{Device: tty, Baud: 5}, "baud: 5 "},
		{serialport.Config{Device: tty, Baud: -9600}, "baud: "},
		{serialport.Config{Device: tty, DataBits: 9}, "data_bits: 9 "},
		{serialport.Config{Device: tty, Parity: "mark"}, `parity: "mark" `},
		{serialport.Config{Device: tty, StopBits: 3}, "stop_bits: 3 "},
		{serialport.Config{Device: tty, RS485: &serialport.RS485{DelayAfter: time.Microsecond}}, "rs485: "},
		{serialport.Config{Device: tty, RS485: &serialport.RS485{DelayAfter: time.Second}}, "rs485: "},
		{serialport.Config{Device: tty, RS485: &serialport.RS485{DelayBefore: -time.Millisecond}}, "rs485: "},
	} {
		err := c.config.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
		if err != nil && penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%+v: the code is %v", c.config, penstock.CodeOf(err))
		}
	}
}

func TestDurationCountsEveryBit(t *testing.T) {
	for _, c := range []struct {
		config serialport.Config
		want   time.Duration // of 96 characters
	}{
		{serialport.Config{}, 100 * time.Millisecond},
		{serialport.Config{Parity: serialport.EvenParity}, 110 * time.Millisecond},
		{serialport.Config{StopBits: 2, DataBits: 7, Parity: serialport.OddParity}, 110 * time.Millisecond},
		{serialport.Config{Baud: 19200}, 50 * time.Millisecond},
	} {
		if got := c.config.Duration(96); got != c.want {
			t.Errorf("%+v: %v, want %v", c.config, got, c.want)
		}
	}
}
