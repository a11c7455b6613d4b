package sink

import (
	"github.com/penstock/penstock"
)

// Spec is one configured sink: of NewSink and NewRecord it has exactly one.
type Spec struct {
	Name     string // unique in the node, at most [MaxName] bytes
	Settings Settings
	// Forwards says that the sink hands reports on to another gateway, which must know a
	// report that comes again: they go as they were accepted, and those that waited are
	// not marked as historical. What was refused or filtered here goes as an empty report,
	// so that its place in the sequence is filled there too.
	Forwards bool
	// Config is what the sink is made from. A reload leaves a sink alone whose Config
	// and Settings are deeply equal to those before.
	Config any
	// NewSink makes a sink that writes reports. It is called anew after a panic.
	NewSink func(Env) (penstock.Sink, error)
	// NewRecord makes a sink that keeps its place itself, in the transaction that
	// writes the samples. It is called anew after a panic.
	NewRecord func(Env) (penstock.Record, error)
}

// MaxName is how many bytes the name of a sink has at most: it goes into entries of
// the spool.
const MaxName = 64
