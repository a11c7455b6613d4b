package sink

import (
	"crypto/tls"
	"io"
	"log/slog"
	"time"

	"github.com/penstock/penstock"
)

// Env is what the node lends a sink.
type Env struct {
	Name string      // of the sink, as configured
	Node func() Node // who the node is; what it returns may change after a conflict
	TLS  *tls.Config // of the node's listeners: its certificate, for sinks that show one
	Log  *slog.Logger
	Now  func() time.Time
	Rand io.Reader
	// Files is the directory for what sinks keep on disk beside the spool, a folder a
	// sink. It may not exist yet.
	Files string
}

// Node is who settles, in a store that several nodes share.
type Node struct {
	ID    string // of the node, made at its first start
	Name  string // for people
	Lives []Life // the history of its spool, oldest first; the last one is this process
}

// Life is one process of a node, and the first position that it wrote.
type Life struct {
	ID    string
	First penstock.Position
}

// Life returns the id of this process.
func (n Node) Life() string {
	if len(n.Lives) == 0 {
		return ""
	}
	return n.Lives[len(n.Lives)-1].ID
}

// Wrote tells whether position last, which a process of the node with id life has
// settled, stands in this history of its spool. Otherwise somebody else wrote what
// was settled there: the disk is an old copy, or it has a twin.
func (n Node) Wrote(life string, last penstock.Position) bool {
	for i, l := range n.Lives {
		if l.ID == life {
			return i == len(n.Lives)-1 || last < n.Lives[i+1].First
		}
	}
	return false
}
