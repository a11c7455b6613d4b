package wire

// Type is the type of a packet.
type Type uint8

// The types of packets.
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15

	will Type = 0 // the properties of a will, which stand inside of CONNECT
)

var typeNames = [...]string{
	"reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the type's name in the specification.
func (t Type) String() string { return typeNames[t&15] }

// The versions of the protocol, as CONNECT names them.
const (
	V311 byte = 4
	V5   byte = 5
)

// Code is a reason code of version 5.
type Code uint8

// The reason codes that a server of ours has use for.
const (
	Success              Code = 0x00
	DisconnectWithWill   Code = 0x04
	NoSubscription       Code = 0x11
	Unspecified          Code = 0x80
	Malformed            Code = 0x81
	ProtocolError        Code = 0x82
	ImplementationError  Code = 0x83
	UnsupportedVersion   Code = 0x84
	InvalidClientID      Code = 0x85
	BadCredential        Code = 0x86
	NotAuthorized        Code = 0x87
	ServerBusy           Code = 0x89
	ShuttingDown         Code = 0x8B
	BadAuthMethod        Code = 0x8C
	KeepAliveTimeout     Code = 0x8D
	TakenOver            Code = 0x8E
	InvalidFilter        Code = 0x8F
	InvalidTopic         Code = 0x90
	PacketIDInUse        Code = 0x91
	PacketIDNotFound     Code = 0x92
	ReceiveMaximumPassed Code = 0x93
	InvalidAlias         Code = 0x94
	TooLarge             Code = 0x95
	QuotaExceeded        Code = 0x97
	AdministrativeAction Code = 0x98
	InvalidPayload       Code = 0x99
	NoSharedSubscription Code = 0x9E
)

// Failed tells whether the code is one of failure.
func (c Code) Failed() bool { return c >= 0x80 }

// Error is why a packet cannot be taken.
type Error struct {
	Code Code
	Text string // a sentence for the operator
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Pair is a user property.
type Pair struct{ Name, Value string }

// Message is an application message.
type Message struct {
	Topic      string
	Payload    []byte
	QoS        byte
	Retain     bool
	Properties Properties
}

// Connect is a client's first packet.
type Connect struct {
	Version    byte
	ClientID   string
	CleanStart bool
	KeepAlive  uint16 // seconds, 0 for none
	User       string
	Password   string
	Will       *Message
	Properties Properties
}

// Connack is the answer to Connect.
type Connack struct {
	Present    bool // the session was there already
	Code       Code
	Properties Properties
}

// Publish carries a message.
type Publish struct {
	Message
	ID  uint16 // of the packet; 0 with QoS 0
	Dup bool   // says nothing of whether the message is new
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP.
type Ack struct {
	Type   Type
	ID     uint16
	Code   Code
	Reason string // a sentence, empty for none; version 5 only
}

// Subscription is one filter of a Subscribe with its options.
type Subscription struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 send what is retained, 1 only when new, 2 never
}

// Subscribe asks for messages.
type Subscribe struct {
	ID             uint16
	Subscriptions  []Subscription
	SubscriptionID uint32 // 0 for none
}

// Unsubscribe ends subscriptions.
type Unsubscribe struct {
	ID      uint16
	Filters []string
}

// Disconnect ends a connection in peace or says why it ends.
type Disconnect struct {
	Code       Code
	Reason     string
	Properties Properties
}
