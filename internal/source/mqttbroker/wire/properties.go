package wire

// Property is the identifier of a property.
type Property uint8

// The properties.
const (
	PayloadFormat       Property = 1
	MessageExpiry       Property = 2 // seconds
	ContentType         Property = 3
	ResponseTopic       Property = 8
	CorrelationData     Property = 9
	SubscriptionID      Property = 11
	SessionExpiry       Property = 17 // seconds
	AssignedClientID    Property = 18
	ServerKeepAlive     Property = 19 // seconds
	AuthMethod          Property = 21
	AuthData            Property = 22
	RequestProblem      Property = 23
	WillDelay           Property = 24 // seconds
	RequestResponse     Property = 25
	ResponseInformation Property = 26
	ServerReference     Property = 28
	ReasonString        Property = 31
	ReceiveMaximum      Property = 33
	TopicAliasMaximum   Property = 34
	TopicAlias          Property = 35
	MaximumQoS          Property = 36
	RetainAvailable     Property = 37
	UserProperty        Property = 38
	MaximumPacket       Property = 39 // bytes
	WildcardAvailable   Property = 40
	IDsAvailable        Property = 41
	SharedAvailable     Property = 42
)

// form is how a property's value is written.
type form uint8

const (
	formNone form = iota
	formFlag      // a byte, 0 or 1
	formShort
	formLong
	formVarint
	formText
	formBytes
	formPair
)

// rule says how a property is written and in which packets it may stand.
type rule struct {
	form form
	in   uint16 // a bit for each type of packet
}

func in(types ...Type) (bits uint16) {
	for _, t := range types {
		bits |= 1 << t
	}
	return bits
}

// rules is the table of section 2.2.2.2 of the specification.
var rules = [...]rule{
	PayloadFormat:       {formFlag, in(PUBLISH, will)},
	MessageExpiry:       {formLong, in(PUBLISH, will)},
	ContentType:         {formText, in(PUBLISH, will)},
	ResponseTopic:       {formText, in(PUBLISH, will)},
	CorrelationData:     {formBytes, in(PUBLISH, will)},
	SubscriptionID:      {formVarint, in(PUBLISH, SUBSCRIBE)},
	SessionExpiry:       {formLong, in(CONNECT, CONNACK, DISCONNECT)},
	AssignedClientID:    {formText, in(CONNACK)},
	ServerKeepAlive:     {formShort, in(CONNACK)},
	AuthMethod:          {formText, in(CONNECT, CONNACK, AUTH)},
	AuthData:            {formBytes, in(CONNECT, CONNACK, AUTH)},
	RequestProblem:      {formFlag, in(CONNECT)},
	WillDelay:           {formLong, in(will)},
	RequestResponse:     {formFlag, in(CONNECT)},
	ResponseInformation: {formText, in(CONNACK)},
	ServerReference:     {formText, in(CONNACK, DISCONNECT)},
	ReasonString:        {formText, in(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)},
	ReceiveMaximum:      {formShort, in(CONNECT, CONNACK)},
	TopicAliasMaximum:   {formShort, in(CONNECT, CONNACK)},
	TopicAlias:          {formShort, in(PUBLISH)},
	MaximumQoS:          {formFlag, in(CONNACK)},
	RetainAvailable:     {formFlag, in(CONNACK)},
	UserProperty:        {formPair, ^uint16(0)},
	MaximumPacket:       {formLong, in(CONNECT, CONNACK)},
	WildcardAvailable:   {formFlag, in(CONNACK)},
	IDsAvailable:        {formFlag, in(CONNACK)},
	SharedAvailable:     {formFlag, in(CONNACK)},
}

// ruleOf returns the rule of a property; its form is formNone for one that there
// is not.
func ruleOf(p Property) rule {
	if int(p) < len(rules) {
		return rules[p]
	}
	return rule{}
}

// Properties are the properties of a packet of version 5, in their order.
type Properties []Field

// Field is one property.
type Field struct {
	ID     Property
	Number uint32 // of a numeric property
	Text   string // of a textual or binary one; the name of a user property
	Value  string // of a user property
}

// maxProperties bounds what a few bytes of a packet can cost in memory.
const maxProperties = 64

// Has tells whether the property is there.
func (p Properties) Has(id Property) bool { return p.find(id) != nil }

// Number returns a numeric property, 0 when it is not there.
func (p Properties) Number(id Property) uint32 {
	if f := p.find(id); f != nil {
		return f.Number
	}
	return 0
}

// Text returns a textual or binary property, empty when it is not there.
func (p Properties) Text(id Property) string {
	if f := p.find(id); f != nil {
		return f.Text
	}
	return ""
}

// User returns the value of the first user property of that name.
func (p Properties) User(name string) (value string, found bool) {
	for i := range p {
		if p[i].ID == UserProperty && p[i].Text == name {
			return p[i].Value, true
		}
	}
	return "", false
}

func (p Properties) find(id Property) *Field {
	for i := range p {
		if p[i].ID == id {
			return &p[i]
		}
	}
	return nil
}
