// Package topic turns the messages of brokers into envelopes: which topics are
// taken, what their payloads are, and which controller and point a topic names.
// The embedded MQTT broker, the MQTT client and the AMQP consumer share it; a
// topic of AMQP is a routing key, with dots for slashes.
//
// A [Pattern] is a topic with names for the levels that matter:
//
//	plant/{controller}/{point...}
//
// matches plant/pump-17/inlet/flow and gives the controller pump-17 and the
// point inlet/flow. A level is literal text, a name in braces, or the broker's
// own wildcard for one level; a name with three dots, or #, takes the rest and
// stands last. Like a broker's wildcards, a name at the first level matches no
// topic that begins with $.
//
// A [Route] says what the payloads are. Identity: a payload that holds reports
// has its own. Beside it, as user properties of MQTT 5 or headers of AMQP, a
// sender may give key, or epoch and seq. For a single value these are the
// identity. For other payloads they are the key of reports that have no identity
// of their own.
//
// A single value without identity and without a time of its own is told from
// others by the time it was received. When such a message is delivered again,
// because an acknowledgement got lost, it counts as a new sample: nothing in it
// says otherwise.
package topic
