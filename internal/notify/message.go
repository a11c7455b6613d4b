package notify

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// The limits of a datagram.
const (
	maxDatagram = 4 << 10
	maxStatus   = 512
	maxTime     = 24 * time.Hour // no program has reason to ask for more patience
)

// Message is what one datagram says.
type Message struct {
	Ready     bool          // the start, or the reload, is over
	Reloading bool          // the configuration is being read again
	Stopping  bool          // the end has begun
	TakeOver  bool          // the predecessor may end: see the package comment
	Alive     bool          // the watchdog is fed
	Hung      bool          // the program itself asks the watchdog to act
	Watchdog  time.Duration // a new interval of the watchdog; 0 leaves it
	Extend    time.Duration // how much longer the start or the end takes; 0 leaves it
	Status    string        // a sentence for people; empty leaves the last one
	Errno     int           // why it failed; 0 for nothing
}

// Parse reads a datagram. Lines that are not known are passed over, as the
// protocol asks; a known one with a value that makes no sense is an error of code
// [penstock.Invalid].
func Parse(datagram []byte) (Message, error) {
	var m Message
	if len(datagram) > maxDatagram {
		return m, penstock.Errorf(penstock.TooLarge, "a notification has %d bytes, more than %d", len(datagram), maxDatagram)
	}
	for line := range strings.SplitSeq(string(datagram), "\n") {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			if line == "" {
				continue
			}
			return m, penstock.Errorf(penstock.Invalid, "a notification has a line without '=': %.60q", line)
		}
		if err := m.set(name, value); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *Message) set(name, value string) (err error) {
	switch name {
	case "READY":
		m.Ready = value == "1"
	case "RELOADING":
		m.Reloading = value == "1"
	case "STOPPING":
		m.Stopping = value == "1"
	case "X_TAKE_OVER":
		m.TakeOver = value == "1"
	case "WATCHDOG":
		m.Alive, m.Hung = value == "1", value == "trigger"
	case "WATCHDOG_USEC":
		m.Watchdog, err = microseconds(name, value)
	case "EXTEND_TIMEOUT_USEC":
		m.Extend, err = microseconds(name, value)
	case "STATUS":
		m.Status = printable(value)
	case "ERRNO":
		if m.Errno, err = strconv.Atoi(value); err != nil {
			return penstock.Errorf(penstock.Invalid, "%s is %.60q, not a number", name, value)
		}
	}
	return err
}

func microseconds(name, value string) (time.Duration, error) {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil || n > uint64(maxTime/time.Microsecond) {
		return 0, penstock.Errorf(penstock.Invalid, "%s is %.60q, not a number of microseconds up to %s", name, value, maxTime)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// printable shortens a text for a table and takes out what would disturb it.
func printable(s string) string {
	if len(s) > maxStatus {
		cut := maxStatus
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}
