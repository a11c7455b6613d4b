// Package amqp is the source that consumes a queue of an AMQP 0.9.1 broker such as
// RabbitMQ.
//
// # What is guaranteed
//
// A message is acknowledged when its reports are durable, and not before. What
// was delivered and not acknowledged when the connection or the gateway broke,
// the broker delivers again. A message of a durable queue, published as
// persistent and confirmed to its publisher, is therefore in the gateway in the
// end; with a quorum queue it survives the loss of a broker's node too.
//
// While the node takes nothing, at most prefetch messages wait unacknowledged and
// are tried again; the others stay in the queue. They are not given back to the
// broker, because that counts against the delivery limit of quorum queues, which
// would then throw good messages out.
//
// A message that is refused for good, because it cannot be read or a rule refuses
// what is in it, is rejected to the dead-letter exchange where the configuration
// names one, and acknowledged otherwise. Either way it is in the books, and its
// first bytes are in the evidence. A message that can never become a report, such
// as text where a number belongs, is told in the evidence alone.
//
// # Identity
//
// The payload's own; or beside it, as headers, epoch and seq, or key; or the
// message-id, when the configuration says that publishers give each message its
// own; or the natural one. The redelivered flag says nothing about reports. A
// plain value without any of these gets the time of receipt, and is therefore
// stored twice when its acknowledgement is lost with the connection.
package amqp
