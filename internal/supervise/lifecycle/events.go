package lifecycle

import (
	"log/slog"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/notify"
)

// Generation numbers the processes of an instance: 1, 2, 3 … 0 is none.
type Generation uint64

// Event is what happened. Of and what follows belong to the kinds that name them.
type Event struct {
	Kind     Kind
	Of       Generation     // Ended, NotStarted, Notified, Measured
	Clean    bool           // Ended: exit status 0
	How      string         // Ended, NotStarted: in words
	Message  notify.Message // Notified
	Resident int64          // Measured: bytes of the whole tree
}

// Kind is what an event is about.
type Kind uint8

// The kinds of events.
const (
	Tick       Kind = iota // the time of [Machine.Next] has come
	Start                  // the instance shall run
	Replace                // a new process shall take the place of the one that runs
	Stop                   // the instance shall not run
	Ended                  // a process is gone
	NotStarted             // what was to be launched could not be
	Notified               // a process tells how it is
	Measured               // a tree was measured
)

// Action is what is to be done now. One field of the first four is set.
type Action struct {
	Launch Generation     // start a process
	Signal syscall.Signal // send it to the process Of
	Kill   bool           // end the whole tree of Of at once, or what is left of it
	Say    string         // tell the operator
	Done   bool           // the replacement that was asked for is over: see Err

	Of       Generation
	TakeOver time.Duration // of a launch: how long the predecessor may take to end, 0 for none
	Level    slog.Level    // of Say
	Err      error         // of Done: why nothing was replaced
}
