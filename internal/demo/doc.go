// Package demo runs a gateway as a child process, sends to it from a simulated
// fleet over TLS, kills it when it is asked to, and proves at the end, from the
// senders' own ledgers, that nothing was lost, made up or changed.
//
// The parent keeps the listening socket and hands it to each child, as a service
// manager would: while the gateway is dead, connections queue instead of being
// refused.
package demo
