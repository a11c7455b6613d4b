// Package mqttbroker is the MQTT broker of the node, for controllers that speak
// MQTT 3.1.1 or 5 themselves. It is a session layer of its own over the packets of
// package wire; what subscribers get is the matter of package fanout.
//
// # What is acknowledged, and when
//
// A message under a topic that carries reports is submitted to the pipeline. Its
// PUBACK (QoS 1) or PUBREC (QoS 2) is sent when the ticket has resolved well: when
// its reports are synced to the spool, or were there before. Acknowledgements are
// pipelined: reading goes on while tickets are open, up to the receive maximum of
// one client, and then stops; that is all the pressure a client feels.
//
// What is rejected for good is booked as rejected. MQTT 5 has words for it: the
// acknowledgement carries a reason code and a sentence. MQTT 3.1.1 has none: there
// the message is acknowledged, because sending it again would not help, and only
// the books, the evidence and the log say that it was rejected.
//
// What is refused for now, because the disk is full, the client is over its limit
// or the gateway has a fault, is not acknowledged. The broker submits it again for as long as the
// setting retry says, and then disconnects the client, which sends it again when
// it is back. QoS 0 is best effort: such a message is counted and lost.
//
// A message under any other topic is only passed on to subscribers, from memory,
// and is acknowledged when that is done. Only clients for all controllers may
// publish there.
//
// A message of a Sparkplug B edge node is acknowledged when the host, which follows
// the edge nodes, has decided about it and its reports are settled in the same way.
// What is refused for now is submitted again at QoS 0 too, since edge nodes know no
// other, and the host has the message behind it. A will is a death like any other.
//
// # Identity
//
// Reports have the identity that they say, or else that of the user properties
// epoch and seq, or key (MQTT 5), or else that of controller, point and time. The
// DUP flag and the packet identifier say nothing. The packet identifiers of QoS 2
// are kept with the session, so that a message is not submitted twice while the
// node runs; across a restart it is the identity that decides, as with QoS 1. A
// plain value has no time and, without user properties, no identity: when its
// acknowledgement gets lost, the value that is sent again is another sample.
//
// # What can be lost
//
// Sessions, queued messages, retained messages and wills that wait are in memory:
// a restart forgets them, and CONNACK says that no session was present. A
// subscriber that is slower than its messages loses the oldest of them, counted as
// overrun on the port. No publisher ever waits for a subscriber.
package mqttbroker
