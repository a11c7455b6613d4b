package cli

import (
	"context"
	"io"
	"time"

	"github.com/penstock/penstock/internal/cli/setup"
	"github.com/penstock/penstock/internal/config"
)

// Program is what the commands start. A part that is nil has no command.
type Program struct {
	Gateway    Gateway
	Spool      SpoolReader
	Demo       Demo
	Decode     Decode
	Apart      Apart
	ScanModbus ScanModbus
	ScanOPCUA  ScanOPCUA
	Setup      setup.Parts
}

// Apart runs the source that the gateway at the other end of the standard input asks
// for, until that is gone.
type Apart func(context.Context) error

// Gateway is what serve runs and check checks.
type Gateway interface {
	// Configure loads a configuration. The error is a *config.Error.
	Configure(config.Sources) (Configured, error)
	// Schema returns the JSON Schema of the configuration.
	Schema() ([]byte, error)
}

// Configured is a gateway with a configuration that holds.
type Configured interface {
	// Print returns the configuration as YAML with the origin of each value,
	// secrets redacted.
	Print() ([]byte, error)
	// Warnings returns what is odd in the configuration and yet no error.
	Warnings() []string
	// Examine returns what is wrong with the files that the configuration names.
	Examine() error
	// Run runs the gateway until ctx ends and everything has stopped. Whenever
	// hangup returns nil it reads its configuration again.
	Run(ctx context.Context, hangup func(context.Context) error, s Start) error
}

// Start is what the command line tells a gateway beside its configuration.
type Start struct {
	AllowRoot bool           // run even as root
	TakeOver  time.Duration  // how long to wait for another gateway to give the data directory up
	Lever     string         // file that slows the store down in a drill; empty but there
	Version   string         // as the command version prints it
	Log       io.Writer      // where log lines go
	Terminal  bool           // a person reads the log
	Loaded    *config.Loaded // says where each key got its value
	File      string         // of the configuration; empty for none
	Started   func(Facts)    // to be called once, when the gateway answers
}

// RunGateway runs a gateway until ctx ends.
type RunGateway[C any] func(ctx context.Context, c *C, again Again[C], s Start) error

// Again is how a gateway comes to a new configuration.
type Again[C any] struct {
	// Asked waits until a signal asks for it, or ctx ends.
	Asked func(ctx context.Context) error
	// Load reads the configuration again. Its error is a *config.Error.
	Load func() (*C, error)
}

// NewGateway returns the gateway whose configuration is a C: defaults makes one
// with its defaults, run runs it, examine looks at the files that one names.
func NewGateway[C any](defaults func() *C, run RunGateway[C], examine func(*C) error) Gateway {
	return gateway[C]{defaults, run, examine}
}

type gateway[C any] struct {
	defaults func() *C
	run      RunGateway[C]
	examine  func(*C) error
}

func (g gateway[C]) Configure(from config.Sources) (Configured, error) {
	c, loaded, err := g.load(from)
	if err != nil {
		return nil, err
	}
	return configured[C]{g, from, c, loaded}, nil
}

func (g gateway[C]) load(from config.Sources) (*C, *config.Loaded, error) {
	c := g.defaults()
	loaded, err := config.Load(c, from)
	return c, loaded, err
}

func (g gateway[C]) Schema() ([]byte, error) { return config.Schema(g.defaults()) }

type configured[C any] struct {
	gateway gateway[C]
	from    config.Sources
	config  *C
	loaded  *config.Loaded
}

func (c configured[C]) Print() ([]byte, error) { return config.Print(c.config, c.loaded) }

func (c configured[C]) Examine() error { return c.gateway.examine(c.config) }

func (c configured[C]) Warnings() []string { return c.loaded.Warnings }

func (c configured[C]) Run(ctx context.Context, hangup func(context.Context) error, s Start) error {
	s.Loaded, s.File = c.loaded, c.from.File
	load := func() (*C, error) {
		fresh, _, err := c.gateway.load(c.from)
		if err != nil {
			return nil, err
		}
		return fresh, nil
	}
	return c.gateway.run(ctx, c.config, Again[C]{hangup, load}, s)
}
