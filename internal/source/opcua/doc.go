// Package opcua subscribes the variables of OPC UA servers.
//
// # What is guaranteed
//
// A message of the server is acknowledged only after the spool has what it holds.
// The library underneath acknowledges at once what it receives, so only its lower
// layers are used: the publish requests are made here. What is not acknowledged
// the server keeps, and sends again when it is asked (Republish). At most 32
// messages wait for the node; beyond that nothing is asked for, and the server
// keeps what changes in the queues of its nodes.
//
// When the connection is lost, the next session takes the subscriptions over
// (TransferSubscriptions), fetches every message that the server still holds and
// was not acknowledged, and asks for all values as they are. So nothing is lost
// that the server still has. It keeps the subscriptions for the lifetime of the
// configuration, or as long as it likes. The subscriptions are remembered in
// memory: after a restart of the gateway new ones begin with the values as they
// are, and what changed and changed back meanwhile is not seen.
//
// The library underneath may panic where nobody can recover, so the source runs in a
// process of its own (package apart) and retains its subscriptions, and which message
// it is asking for again. After a death the next process takes the subscriptions over
// as after a lost connection. A message that ends the process when it is asked for
// again is given up: a gap, after which the values are not read anew.
//
// A hole in the sequence numbers that the server cannot fill is counted as a gap,
// and all values are read anew. No sample marks the hole: a subscription tells of
// changes only, and a marker would stand in front of a value that is older, and
// still true. The server's own queue for a node may overflow too; it says so in
// a bit of the next status, which is counted as a gap and kept.
//
// # Identity
//
// The identity is natural: (controller, point, source timestamp). The sequence
// numbers of a subscription begin anew with each subscription, and sessions,
// restarts and redundant servers each have their own; they could not tell a
// reading from another. So a value that is sent again, after a lost
// acknowledgement or because all values are read anew, is a duplicate. A server
// that gives two changes of a variable the same source timestamp tells of one.
//
// # Values
//
// The source timestamp is kept; the server's is taken where there is none, and the
// gateway's clock, marked, where there is neither. The StatusCode is kept bit for
// bit. A bad status has no value, whatever the server sent beside it. Arrays need
// an index; structures are refused: the point then has the status
// BadDecodingError, and the evidence says why.
package opcua
