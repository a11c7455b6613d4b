package evidence

import "strings"

// An Event is something that a port or a controller can be counted for.
type Event uint8

// The events. A frame that fails its checksum is counted on the port, and on
// the controller only when something else than the damaged bytes names it.
const (
	Received  Event = iota // frames, messages or answers that were whole
	Checksum               // the checksum did not hold
	Framing                // the driver saw no stop bit, or the framer no end of frame
	Parity                 // the driver saw a wrong parity bit
	Break                  // the driver saw a break
	Overrun                // this machine read too late: not the cable
	Malformed              // the checksum held and the content made no sense
	Timeout                // no answer in time
	Exception              // the controller answered that it will not
	Late                   // an answer after its time, thrown away
	Resent                 // sent again by the controller
	Gap                    // sequence numbers that are missing
	Refused                // refused by the pipeline or the intake
	Connected              // a connection or a session was made
	Lost                   // a connection or a session broke

	events = int(Lost) + 1
)

var eventNames = [events]string{
	"received", "checksum", "framing", "parity", "break", "overrun", "malformed", "timeout", "exception", "late",
	"resent", "gap", "refused", "connected", "lost",
}

// String returns the event's name as it stands in answers and metrics.
func (e Event) String() string {
	if int(e) < events {
		return eventNames[e]
	}
	return "unknown"
}

// Events returns all events in their order.
func Events() []Event {
	all := make([]Event, events)
	for i := range all {
		all[i] = Event(i)
	}
	return all
}

// A Quantity is what a signal measures.
type Quantity string

// The quantities, with the units in which they are kept.
const (
	RSSI         Quantity = "rssi"          // dBm
	SNR          Quantity = "snr"           // dB
	Attenuation  Quantity = "attenuation"   // dB
	OpticalPower Quantity = "optical_power" // dBm

	// What a controller counts by itself, as 16 bits that wrap. Held against what
	// the port counts they tell in which direction a line is bad.
	PeerMessages Quantity = "peer_messages" // frames that the controller saw on the line
	PeerChecksum Quantity = "peer_checksum" // those whose checksum did not hold there
)

// Title returns the quantity as people write it.
func (q Quantity) Title() string {
	switch q {
	case RSSI, SNR:
		return strings.ToUpper(string(q))
	}
	return strings.ReplaceAll(string(q), "_", " ")
}

// Unit returns the unit of the quantity, empty for counts and for one that is
// not known.
func (q Quantity) Unit() string {
	switch q {
	case RSSI, OpticalPower:
		return "dBm"
	case SNR, Attenuation:
		return "dB"
	}
	return ""
}
