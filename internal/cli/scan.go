package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/cli/manual"
	"github.com/penstock/penstock/internal/cli/shell"
)

// ScanModbus looks for Modbus devices and writes what it finds as configuration.
type ScanModbus func(ctx context.Context, o ModbusScan) error

// ModbusScan says where to look, and for what.
type ModbusScan struct {
	TCP, RTUOverTCP, Device string
	Bauds                   []int
	Parities                []string
	StopBits                int
	Units                   []uint8
	First, Count            int
	Timeout                 time.Duration
	Tell                    func(format string, args ...any)
	Out                     io.Writer
}

func newScan(env shell.Env, program Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Look for devices, and print configuration for them",
		Args:  shell.CommandArgs,
		RunE:  shell.ShowHelp,
	}
	if program.ScanModbus != nil {
		cmd.AddCommand(newScanModbus(env, program.ScanModbus))
	}
	if program.ScanOPCUA != nil {
		cmd.AddCommand(newScanOPCUA(env, program.ScanOPCUA))
	}
	return cmd
}

func newScanModbus(env shell.Env, scan ScanModbus) *cobra.Command {
	o := ModbusScan{Out: env.Stdout, Tell: func(format string, args ...any) { fmt.Fprintf(env.Stderr, format+"\n", args...) }}
	var units, registers string
	cmd := &cobra.Command{
		Use:   "modbus (--device PATH | --tcp HOST:PORT | --rtu-over-tcp HOST:PORT)",
		Short: "Find Modbus devices on a line or at an address",
		Long: `Find out which units answer on a line and at which speed, what can be read of
each, and in which order the words of a float seem to stand, and print it as
configuration to paste and edit. It only reads. What it proposes about values is a
guess: hold it against the device's manual and its display.

On a serial line every speed is tried with every parity until somebody answers. A
line has one master: stop whatever else asks there. A silent unit takes --timeout,
so all 247 at six speeds and three parities take a while.`,
		Example: `  penstock scan modbus --tcp 192.0.2.7:502 --units 1
  penstock scan modbus --device /dev/ttyUSB0 --baud 9600,19200 --parity none,even --units 1-20
  penstock scan modbus --device /dev/ttyUSB0 --registers 1000-1199 > found.yaml`,
		Args: shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := numbers(units, 0, 255)
			if err != nil {
				return shell.Usagef("--units: %w", err)
			}
			for _, n := range list {
				o.Units = append(o.Units, uint8(n))
			}
			first, last, err := between(registers, 0, 65535)
			if err != nil {
				return shell.Usagef("--registers: %w", err)
			}
			o.First, o.Count = first, last-first+1
			ctx, stop := env.Signals(cmd.Context())
			defer stop()
			return scan(ctx, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Device, "device", "", "`PATH` of a serial line")
	f.StringVar(&o.TCP, "tcp", "", "`HOST:PORT` of a Modbus TCP device or gateway")
	f.StringVar(&o.RTUOverTCP, "rtu-over-tcp", "", "`HOST:PORT` of a serial server that passes RTU frames on")
	f.IntSliceVar(&o.Bauds, "baud", []int{9600, 19200, 38400, 57600, 115200, 4800}, "`SPEEDS` to try")
	f.StringSliceVar(&o.Parities, "parity", []string{"none", "even", "odd"}, "`PARITIES` to try")
	f.IntVar(&o.StopBits, "stop-bits", 1, "`NUMBER` of stop bits")
	f.StringVar(&units, "units", "1-247", "`NUMBERS` of units to ask, as in 1-20,100")
	f.StringVar(&registers, "registers", "0-199", "`RANGE` of registers and bits to look at, counted from 0")
	f.DurationVar(&o.Timeout, "timeout", 300*time.Millisecond, "`DURATION` that a unit has to answer")
	manual.InGroup(f, "Serial line", "baud", "parity", "stop-bits")
	cmd.MarkFlagsOneRequired("device", "tcp", "rtu-over-tcp")
	cmd.MarkFlagsMutuallyExclusive("device", "tcp", "rtu-over-tcp")
	return cmd
}

// numbers reads a list of numbers and ranges, such as "1-20,100".
func numbers(text string, low, high int) (list []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, err := between(part, low, high)
		if err != nil {
			return nil, err
		}
		for n := first; n <= last; n++ {
			list = append(list, n)
		}
	}
	return list, nil
}

// between reads one number or a range.
func between(text string, low, high int) (first, last int, err error) {
	from, to, isRange := strings.Cut(strings.TrimSpace(text), "-")
	if !isRange {
		to = from
	}
	first, errFirst := strconv.Atoi(from)
	last, errLast := strconv.Atoi(to)
	if errFirst != nil || errLast != nil || first < low || last > high || first > last {
		return 0, 0, shell.Usagef("%q is no number or range from %d to %d", text, low, high)
	}
	return first, last, nil
}
