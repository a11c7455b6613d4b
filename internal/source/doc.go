// Package source runs the sources of a node. An adapter, a folder below this one
// each, knows one protocol: it turns what comes into envelopes, submits them and
// acknowledges when their tickets resolve. What all need stands here once:
// starting again after a failure with back-off, containing a panic, and starting
// and stopping only what a changed configuration changes.
package source
