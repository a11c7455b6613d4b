// Package mapping is the one language in which a person declares how a payload
// that is not ours becomes reports: vendors' JSON, records of bytes, lines of
// text. HTTP, MQTT, AMQP and framed streams share it. docs/mapping.md teaches it.
//
// A [Config] is compiled by [New], which finds every mistake that can be found
// before a payload comes; [Mapping.Decode] turns a payload into reports and what
// they tell of the link. A mapping keeps no state: the same envelope gives the
// same reports, so that a resend is a duplicate.
package mapping
