package serialport

// Marks are the damages that the driver marked in the stream of bytes.
type Marks struct {
	Damaged uint64 // bytes with a wrong parity or stop bit; they were delivered as they came
	Breaks  uint64 // the line was held low for longer than a character
}

// The driver writes a damaged byte X as escape, 0, X, a break as escape, 0, 0
// and a byte 0xFF as escape, escape. So a damaged byte 0 counts as a break.
const escape = 0xFF

// unmarker takes the driver's marks out of the stream. Its zero value stands at
// the beginning of one.
type unmarker struct {
	state unmarkState
	seen  Marks
}

type unmarkState uint8

const (
	plain   unmarkState = iota
	escaped             // after 0xFF
	marked              // after 0xFF, 0
)

// remove takes the marks out of b, in place, and returns how many bytes stay at
// its beginning. A mark may be cut anywhere between two calls.
func (u *unmarker) remove(b []byte) int {
	n := 0
	for _, c := range b {
		switch u.state {
		case plain:
			if c == escape {
				u.state = escaped
				continue
			}
		case escaped:
			if c == 0 {
				u.state = marked
				continue
			}
			u.state = plain
		case marked:
			u.state = plain
			if c == 0 {
				u.seen.Breaks++
				continue
			}
			u.seen.Damaged++
		}
		b[n] = c
		n++
	}
	return n
}
