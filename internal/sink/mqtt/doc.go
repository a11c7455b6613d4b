// Package mqtt is the sink that publishes to a broker of MQTT 5, a message a report
// or a message a sample.
//
// # What is guaranteed
//
// A report counts as written when the broker has acknowledged all its messages, with
// QoS 1 (PUBACK) or 2 (PUBCOMP). What the broker refuses for now, and what was under
// way when the connection broke, stays in the spool and is published again. A report
// that cannot be a message (larger than the broker takes, a topic with a wildcard in
// it, a float that JSON has no number for) is refused for good.
//
// The session begins anew with each connection: what was not acknowledged is in the
// spool, and nowhere else. A message may therefore come twice, with QoS 2 too, and a
// consumer knows it by its identity. MQTT has no word for a message that nobody has
// subscribed to: it is acknowledged, and gone.
//
// # Identity
//
// The user properties message-id ([sink.MessageID]), and epoch and seq, or key, say
// who a message is, as the MQTT sources of another gateway read them.
//
// # Retained values
//
// With retain the broker keeps the last message of each topic for new subscribers.
// What is older than what it has, such as the backlog after an outage, is published
// without being kept, so that the latest value never steps back.
//
// # Sparkplug B
//
// With sparkplug the sink is an edge node: each controller is a device, each point a
// metric. Births and data go at QoS 0, as the specification has it. A write returns when
// the broker has answered a ping behind them, and so has read them; to applications they
// go at most once.
package mqtt
