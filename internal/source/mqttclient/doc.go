// Package mqttclient is the source that subscribes at somebody else's MQTT
// broker, with MQTT 5 or 3.1.1.
//
// # What is guaranteed
//
// A message of QoS 1 or 2 is acknowledged to the broker when its reports are
// durable, and not before, in the order of arrival. The session is persistent:
// what is published while the gateway is away, or was sent and not acknowledged
// when a connection or the gateway broke, the broker sends again, as long as the
// session lasts and its own queue has room; what a broker drops from a full queue
// it does not tell. Subscriptions are of QoS 1: of QoS 2 only the way from the
// publisher to the broker remains, and the identity of the report does the rest.
// Messages of QoS 0 are taken as they come and may be lost on the way.
//
// While the node takes nothing, messages wait unacknowledged, at most as many as
// receive_maximum, and are tried again; the broker queues the others. Messages of
// QoS 0 fill the connection then, until the broker drops them or ends it.
//
// A report that is refused for good is acknowledged: MQTT knows no way to give a
// message back, and a broker would send it for ever. It is in the books, and its
// bytes are in the evidence.
//
// # Identity
//
// The payload's own; or beside it, as user properties, epoch and seq, or key; or
// the natural one. The packet identifier and the DUP flag say nothing about
// reports. A plain value without any of these gets the time of receipt, and is
// therefore stored twice when its acknowledgement is lost with the connection.
//
// The broker speaks for all controllers that the configuration names, and a topic
// that names a controller speaks for that one alone.
//
// # Brokers of 3.1.1
//
// The library speaks MQTT 5. For a client that subscribes, the two versions differ by a
// few bytes a packet, which are changed on the way: no second client is needed. The
// session is persistent (clean session 0), and lasts as long as the broker's own setting
// says. The version cannot bound what is under way: beyond receive_maximum nothing more is
// read, so that memory stays bounded, and a node that takes nothing for longer than the
// keepalive loses the connection, and nothing else.
package mqttclient
