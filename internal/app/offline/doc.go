// Package offline is what the commands do without a gateway that runs: looking at
// a spool, and finding devices to be configured.
package offline
