package mqtt

import (
	"github.com/eclipse/paho.golang/packets"

	"github.com/penstock/penstock"
)

// failure is the least reason code that says that something failed.
const failure = 0x80

// refusal returns what the reason code of an acknowledgement means, nil for a good one.
// What the broker says of the message itself is for good; of the rest the sink is in
// trouble, and a person can mend it.
func (o *session) refusal(code byte, name string) error {
	if code < failure {
		return nil
	}
	kind := penstock.Unavailable
	switch code {
	case packets.PubackTopicNameInvalid, packets.PubackPayloadFormatInvalid:
		kind = penstock.Invalid
	}
	return penstock.Errorf(kind, "the broker %s refused a message to %s: %s", o.server.Address, name, reason(code))
}

// reason says what a reason code of MQTT 5 means for the person who must act.
func reason(code byte) string {
	switch code {
	case 0x84:
		return "it does not speak MQTT 5"
	case 0x85:
		return "it does not take the client_id"
	case 0x86, 0x87: // brokers give either for a wrong password
		return "user or password is wrong, or the user is not allowed to"
	case 0x8B:
		return "it is shutting down"
	case 0x8E:
		return "another client uses the same client_id"
	case packets.PubackQuotaExceeded:
		return "its quota is exceeded"
	}
	if text := (&packets.Disconnect{ReasonCode: code}).Reason(); text != "" {
		return text
	}
	return (&packets.Puback{ReasonCode: code}).Reason()
}
