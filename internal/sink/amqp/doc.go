// Package amqp is the sink that publishes reports to a broker of AMQP 0.9.1 such as
// RabbitMQ.
//
// # What is guaranteed
//
// A report counts as written when the broker has confirmed its message and has not
// returned it: messages are persistent and mandatory, so that one without a queue
// comes back, although the broker confirms it. What is returned, what is refused for
// now (a full queue), and what was under way when the connection broke stays in the
// spool and is published again. Only a report that cannot become a message (a float
// that JSON has no number for, a message larger than max_message, a routing key that
// is too long) is refused for good.
//
// What the broker itself may lose is the queue's choice: a quorum queue survives the
// loss of a node of the broker; declare makes one.
//
// # Identity
//
// A message that is published again is the same message: its message-id is
// [sink.MessageID], and a consumer that keeps the ids it has seen takes each report
// once. Headers controller, and epoch and seq or key, say the same in parts, as the
// AMQP source of another gateway reads them. That source needs no more: its reports
// carry their identity, and the second one is a duplicate.
//
// # Flow
//
// At most window messages wait for their confirmation. While the broker holds
// publishers back (connection.blocked), nothing is published.
package amqp
