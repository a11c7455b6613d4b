package source

import (
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/serialport"
)

// Line is a serial port that notes the troubles of its line on a page.
type Line struct {
	*serialport.Port
	Page *evidence.Page
}

// Read reads from the port.
func (l *Line) Read(b []byte) (int, error) {
	n, err := l.Port.Read(b)
	NoteFaults(l.Page, l.Faults())
	return n, err
}

// NoteFaults counts what a serial line saw.
func NoteFaults(page *evidence.Page, f serialport.Faults) {
	page.Add(evidence.Framing, f.Framing)
	page.Add(evidence.Parity, f.Parity)
	page.Add(evidence.Break, f.Breaks)
	page.Add(evidence.Overrun, f.Overrun)
}
