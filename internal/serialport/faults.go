package serialport

// Counters are what a driver counted since it was loaded, or since the adapter
// was plugged in. They wrap at 2³².
type Counters struct {
	Received, Sent uint32 // characters
	Framing        uint32 // no stop bit where one had to be
	Parity         uint32 // a wrong parity bit
	Breaks         uint32 // the line was held low
	Overrun        uint32 // the hardware's buffer ran over: this machine read too late
	BufferOverrun  uint32 // the kernel's buffer ran over: this program read too late
}

// Faults are the troubles of a line in a span of time, from the best witness
// there is: the driver's counters, or else the marks in the stream.
type Faults struct {
	Framing, Parity, Breaks, Overrun uint64
	Counted                          bool // by the driver; marks cannot tell framing from parity, nor see an overrun
}

// witness turns two readings into what happened between them.
type witness struct {
	parity   bool // the line has a parity bit
	counters Counters
	counted  bool // counters holds a reading
	marks    Marks
}

// since returns the faults between the last reading and this one.
func (w *witness) since(now Counters, counted bool, marks Marks) Faults {
	before, had, marked := w.counters, w.counted, w.marks
	w.counters, w.counted, w.marks = now, counted, marks
	if counted && had {
		return Faults{
			Framing: uint64(now.Framing - before.Framing), Parity: uint64(now.Parity - before.Parity),
			Breaks:  uint64(now.Breaks - before.Breaks),
			Overrun: uint64(now.Overrun-before.Overrun) + uint64(now.BufferOverrun-before.BufferOverrun),
			Counted: true,
		}
	}
	f := Faults{Breaks: marks.Breaks - marked.Breaks}
	if damaged := marks.Damaged - marked.Damaged; w.parity {
		f.Parity = damaged
	} else {
		f.Framing = damaged
	}
	return f
}
