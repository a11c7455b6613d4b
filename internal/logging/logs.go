package logging

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/logging/channel"
	"github.com/penstock/penstock/internal/logging/flat"
	"github.com/penstock/penstock/internal/logging/journald"
	"github.com/penstock/penstock/internal/logging/rfc5424"
)

// Status is told whether the lines of an output arrive.
type Status = channel.Status

// Options are what [Open] needs beside the configuration.
type Options struct {
	Stderr   io.Writer // where lines go that no output is configured for
	Terminal bool      // a person reads it
	Program  string    // as syslog and the journal name it
	Now      func() time.Time
}

// Logs is the logger of a process with its outputs.
type Logs struct {
	levels  *Levels
	repeats *repeats
	outputs []output
	ring    ring
	logger  *slog.Logger

	stop context.CancelFunc // ends sending
	cut  context.CancelFunc // ends the last try
	work sync.WaitGroup
}

// output is one place that lines go to.
type output struct {
	name, kind string
	channel    *channel.Channel
}

const (
	standardError = "stderr"
	sayEvery      = time.Second     // how often it is seen whether there is something to say of the log itself
	lastTry       = 2 * time.Second // how long lines that wait are tried to be sent at the end
)

// Open starts to carry lines. The configuration was validated; an error says what
// is wrong with it all the same. Close ends it.
func Open(c Config, o Options) (*Logs, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Logs{levels: newLevels(), repeats: &repeats{
		burst: c.Repeats.Burst, every: c.Repeats.Every.Std(), now: o.Now, windows: map[sameness]*window{},
	}}
	l.levels.replace(c)
	handlers := []slog.Handler{slog.NewJSONHandler(&l.ring, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: utc})}
	add := func(name, kind string, s channel.Sender, h func(io.Writer) slog.Handler) {
		ch := channel.New(s, channel.Options{Now: o.Now})
		l.outputs = append(l.outputs, output{name, kind, ch})
		handlers = append(handlers, h(ch))
	}
	if c.Format != Off {
		add(standardError, string(c.Format), channel.Writer{W: o.Stderr}, func(w io.Writer) slog.Handler { return printer(c.Format, o.Terminal, w) })
	}
	for i := range c.Outputs {
		out := &c.Outputs[i]
		sender, encode, kind, err := out.open(o)
		if err != nil {
			return nil, fmt.Errorf("outputs[%d]: %w", i, err)
		}
		add(out.Name, kind, sender, func(w io.Writer) slog.Handler { return out.limit(flat.New(w, encode)) })
	}
	l.logger = slog.New(&handler{levels: l.levels, repeats: l.repeats, gate: &l.levels.base, outputs: handlers})
	l.run()
	return l, nil
}

// run starts to send.
func (l *Logs) run() {
	ctx, stop := context.WithCancel(context.Background())
	last, cut := context.WithCancel(context.Background())
	l.stop, l.cut = stop, cut
	for _, o := range l.outputs {
		l.work.Go(func() { o.channel.Run(ctx, last) })
	}
	l.work.Go(func() { l.speak(ctx) })
}

// printer returns the handler of standard error.
func printer(f Format, terminal bool, w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: utc}
	if f == Text || f == Auto && terminal {
		options.ReplaceAttr = forPeople
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

// open returns what carries lines to the output, and how they are encoded.
func (o *Output) open(at Options) (channel.Sender, flat.Encode, string, error) {
	if o.Journald != nil {
		return journald.NewSender(cmp.Or(o.Journald.Socket, journald.Socket)), journald.Encoder(at.Program), "journald", nil
	}
	target, err := rfc5424.ParseTarget(o.Syslog.To)
	if err != nil {
		return nil, nil, "", err
	}
	facility, err := rfc5424.ParseFacility(o.Syslog.Facility)
	if err != nil {
		return nil, nil, "", err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "" // the message then names none
	}
	header := rfc5424.Header{Facility: facility, Host: host, Program: at.Program, PID: os.Getpid()}
	return rfc5424.NewSender(target, o.Syslog.TLS.Config), target.Encoder(header), "syslog+" + target.Network, nil
}

// limit gives a handler the least severity of the output.
func (o *Output) limit(h slog.Handler) slog.Handler {
	if level, err := ParseLevel(o.Level); err == nil {
		return atLevel{h, level}
	}
	return h
}

// speak says of the log itself what there is to say: what was held back, and what
// was dropped.
func (l *Logs) speak(ctx context.Context) {
	said := make([]uint64, len(l.outputs))
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.repeats.say(false)
		for i, o := range l.outputs {
			// While it is full the line would be dropped as well.
			if s := o.channel.State(); s.Dropped > said[i] && !s.Failing {
				l.logger.Warn("lines of the log were dropped: an output could not take them", "output", o.name, "dropped", s.Dropped-said[i])
				said[i] = s.Dropped
			}
		}
	}
}

// Logger returns the logger.
func (l *Logs) Logger() *slog.Logger { return l.logger }

// Levels returns the levels of the components, which can be changed.
func (l *Logs) Levels() *Levels { return l.levels }

// Reload takes over the levels of a configuration. Its outputs hold from the next
// start on.
func (l *Logs) Reload(c Config) { l.levels.replace(c) }

// Recent returns the newest lines as JSON, each with its end, the oldest first.
func (l *Logs) Recent() []byte { return l.ring.all() }

// Watch has the status that add returns for each output told whether its lines
// arrive.
func (l *Logs) Watch(add func(output string) Status) {
	for _, o := range l.outputs {
		o.channel.Watch(add(o.name))
	}
}

// OutputState is how an output stands.
type OutputState struct {
	Name string
	Kind string // syslog+tls, journald, json …
	channel.State
}

// Outputs returns how the outputs stand, in the order of the configuration.
func (l *Logs) Outputs() []OutputState {
	states := make([]OutputState, len(l.outputs))
	for i, o := range l.outputs {
		states[i] = OutputState{o.name, o.kind, o.channel.State()}
	}
	return states
}

// Close says what was held back, tries for a short time to send what waits, and
// ends. An output that blocks for ever is left behind.
func (l *Logs) Close() {
	l.repeats.say(true)
	l.stop()
	defer time.AfterFunc(lastTry, l.cut).Stop()
	ended, done := context.WithTimeout(context.Background(), 2*lastTry)
	defer done()
	var end sync.WaitGroup
	end.Go(func() { l.work.Wait(); done() })
	<-ended.Done()
	l.cut()
}
