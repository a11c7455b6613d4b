// Package linkgate is the gateway's end of the link protocol: TLS over TCP, sealed
// datagrams over UDP, and serial lines. docs/link-protocol.md is its
// specification, and docs/protocols/link.md tells an operator what to configure.
//
// # What is guaranteed
//
// A report is acknowledged when the ticket of its envelope resolved: after the
// sync that covers it. Acks carry the accepted mark and the committed watermark;
// a controller forgets only what is committed. What is lost, doubled, damaged or
// out of order on the way is sent again and stored once: the identity is the
// sequence (controller, epoch, seq). Nothing is acknowledged when the gateway
// stops or its connection breaks in between: it comes again.
//
// On a serial line the gateway asks one controller after another. It waits for none
// longer than a turn takes, and asks one that is silent more and more seldom. A
// frame is found by its delimiter, its length and its checksums, never by time. Who
// speaks there is what the configuration says of line and address.
//
// Every connection has a bounded memory: one small buffer before its hello, and the
// window after it. New connections are let in at a rate, in their order.
package linkgate
