package demo

import (
	"io"
	"os"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// Options say what the demo does. The zero Options run a fleet of 200
// controllers without mishaps until the context ends.
type Options struct {
	For         time.Duration   // how long reports are made; 0: until the context ends
	Controllers int             // 200 when 0
	Impair      sim.Impairments // the mishaps of messages
	KillEvery   time.Duration   // between two SIGKILLs of the gateway; 0: never
	Open        bool            // show the console in a browser, where there is a display and a person
	Listen      string          // host:port of the API; empty: 127.0.0.1:8080, or a free port when that is taken
	Data        string          // the gateway's data directory; empty: a temporary one, removed at the end
	JSON        bool            // end with one JSON object on Out; everything else goes to Messages

	Interval    time.Duration // from one report of a controller to its next; 0: so that the fleet sends about 500 a second
	Speed       int           // seconds of the network's day that pass in a second; 60 when 0
	Connections int           // shared by the fleet; 32 when 0, one for each controller when negative
	Seed        uint64        // of values and mishaps
	Breaks      []string      // what is broken on purpose, as trouble.Parse reads it

	Program  []string  // the gateway's program and the arguments before "serve"; this program when empty
	Out      io.Writer // results; standard output when nil
	Messages io.Writer // what the demo tells under way, when JSON is true; standard error when nil
}

// drain is how long the demo waits after the last report for everything to be
// settled, and again for it to reach the record.
const drain = 60 * time.Second

// complete fills in the defaults and checks the rest.
func (o Options) complete() (Options, error) {
	if o.Controllers == 0 {
		o.Controllers = 200
	}
	if o.Interval == 0 {
		const perSecond = 500
		o.Interval = time.Duration(o.Controllers) * time.Second / perSecond
		o.Interval = min(max(o.Interval, 200*time.Millisecond), 10*time.Second)
	}
	if o.Speed == 0 {
		o.Speed = 60
	}
	switch {
	case o.Connections == 0:
		o.Connections = 32
	case o.Connections < 0:
		o.Connections = 0 // one for each
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Messages == nil {
		o.Messages = os.Stderr
	}
	if !o.JSON {
		o.Messages = o.Out
	}
	if len(o.Program) == 0 {
		self, err := os.Executable()
		if err != nil {
			return o, penstock.Errorf(penstock.Internal, "find this program's own file: %w", err)
		}
		o.Program = []string{self}
	}
	if o.For < 0 || o.KillEvery < 0 {
		return o, penstock.Errorf(penstock.Invalid, "--for and --kill-every cannot be negative")
	}
	if len(o.Breaks) > 0 && o.KillEvery > 0 {
		return o, penstock.Errorf(penstock.Invalid, "--break and --kill-every exclude each other: a gateway that was just started knows nothing of its fleet")
	}
	return o, o.Impair.Check()
}
