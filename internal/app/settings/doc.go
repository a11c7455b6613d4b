// Package settings is the configuration of a gateway: what may stand in it, whether
// it holds together, and which sources and sinks it asks for.
package settings
