// Package pipeline is what stands between the sources and the intake: a list of
// steps that an envelope goes through, one after the other, in the goroutine that
// submitted it. Nothing is queued, buffered or started here.
//
// Envelope steps come first, in the order of the configuration. Decoding turns the
// envelope into reports, scope and registration decide whether the sender may
// speak for their controllers, and the report steps follow, again in the order of
// the configuration. What passed all of them teaches the fleet its points and goes
// to the intake.
//
// A step is a small file: its settings, its constructor, the step. A new one has
// a field in [Step], a name, its default settings, a line in build, and its place
// in the table of orders: one that changes samples must come before validate.
package pipeline
