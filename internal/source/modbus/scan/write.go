package scan

import (
	"fmt"
	"io"
	"strings"

	"github.com/penstock/penstock/internal/source/modbus/wire"
)

// maxPoints is how many points of one range are written; the rest is told.
const maxPoints = 64

// Write writes what was found as configuration, ready to be pasted and edited.
func (f *Found) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Found by a scan. Names, types and units are for a person to say.\nsources:\n  - name: modbus\n    modbus:\n      lines:\n")
	switch {
	case f.TCP != "":
		fmt.Fprintf(&b, "        - tcp: %q\n", f.TCP)
	case f.RTUOverTCP != "":
		fmt.Fprintf(&b, "        - rtu_over_tcp: %q\n", f.RTUOverTCP)
	default:
		fmt.Fprintf(&b, "        - serial: {device: %q, baud: %d, parity: %s, stop_bits: %d}\n", f.Serial.Device, f.Serial.Baud, f.Serial.Parity, max(f.Serial.StopBits, 1))
	}
	b.WriteString("          devices:\n")
	for _, u := range f.Units {
		u.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (u Unit) write(b *strings.Builder) {
	if len(u.Ranges) == 0 {
		fmt.Fprintf(b, "            # Unit %d answers, and nothing could be read where the scan looked.\n", u.Number)
	}
	fmt.Fprintf(b, "            - controller: unit-%d\n              unit: %d\n", u.Number, u.Number)
	if u.Limited {
		fmt.Fprintf(b, "              max_registers: %d # it refused more\n", partCount)
	}
	b.WriteString("              groups:\n                - every: 10s\n                  points:\n")
	if len(u.Ranges) == 0 {
		b.WriteString("                    - {name: unknown, at: holding 0}\n")
	}
	for _, r := range u.Ranges {
		r.write(b)
	}
}

func tableName(table wire.Function) string {
	switch table {
	case wire.ReadCoils:
		return "coil"
	case wire.ReadDiscrete:
		return "discrete"
	case wire.ReadInput:
		return "input"
	}
	return "holding"
}

func (r Range) write(b *strings.Builder) {
	name := tableName(r.Table)
	fmt.Fprintf(b, "                    # %s %d to %d can be read.\n", name, r.First, r.First+len(r.Words)-1)
	points := r.points()
	for _, p := range points[:min(len(points), maxPoints)] {
		fmt.Fprintf(b, "                    - {name: %s-%d, at: %s %d%s} # %s\n", name, p.address, name, p.address, p.form, p.now)
	}
	if more := len(points) - maxPoints; more > 0 {
		fmt.Fprintf(b, "                    # And %d more like these.\n", more)
	}
}

// proposal is a point as it may be.
type proposal struct {
	address   int
	form, now string // what stands behind the address, and what was read
}

// points returns what may stand in a range. In one that holds more than are
// written, registers that were zero are left out.
func (r Range) points() (list []proposal) {
	order, start := "", 0
	if !r.Table.Bits() {
		order, start = guess(r.Words)
	}
	sparse := len(r.Words) > maxPoints
	for i := 0; i < len(r.Words); i++ {
		w := r.Words[i]
		if order != "" && i >= start && i+1 < len(r.Words) {
			if w != 0 || r.Words[i+1] != 0 || !sparse {
				now := fmt.Sprintf("was %g; the order is a guess", float(order, w, r.Words[i+1]))
				list = append(list, proposal{r.First + i, ", type: f32, order: " + order, now})
			}
			i++
			continue
		}
		if w != 0 || !sparse {
			list = append(list, proposal{r.First + i, "", fmt.Sprintf("was %d", w)})
		}
	}
	if len(list) == 0 { // all of it was zero
		list = append(list, proposal{r.First, "", "was 0, as all of them"})
	}
	return list
}
