// Package field is a fleet as networks of water and power have it: thousands of
// controllers of different sizes, some over the link protocol and some over MQTT,
// each with an address and a connection of its own. It keeps its own books of
// what was acknowledged, and holds a gateway's store and ledger against them.
package field
