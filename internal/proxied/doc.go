// Package proxied takes the address of a client from the load balancer that stands
// before the gateway, by version 2 of the PROXY protocol.
//
// Balancers are named by their networks. From these the header is required: without
// it a client could not be told from the balancer. From everybody else a header is
// no header, but bytes like any other, so that nobody gives himself an address.
// The header is read before a connection is handed over, beside all others, within
// a bounded time; who takes connections never waits for one that says nothing, and
// the address does not change under him.
package proxied
