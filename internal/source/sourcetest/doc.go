// Package sourcetest is what every source must hold, whatever its protocol: it
// acknowledges nothing that is not durable, it survives what is malformed, it
// tells of trouble in the protocol's own words, and it ends cleanly.
package sourcetest
