package data

import (
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/cli/upload"
)

// progress tells a person how far sending has come: one line that is written
// over on a terminal, a line every ten seconds otherwise.
type progress struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	begun    time.Time
	last     time.Time
	open     bool // a line stands on the terminal without its end
}

func newProgress(env shell.Env) *progress {
	begun := env.Now()
	return &progress{w: env.Stderr, terminal: shell.IsTerminal(env.Stderr), now: env.Now, begun: begun, last: begun}
}

// show shows the tally if it is time to.
func (p *progress) show(t upload.Tally) {
	now, every := p.now(), 10*time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	rate := float64(t.Sent) / max(now.Sub(p.begun).Seconds(), 1e-3)
	text := fmt.Sprintf("%s, %.0f/s", t.String(), rate)
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.open = true
		return
	}
	fmt.Fprintln(p.w, text)
}

// say writes a message on a line of its own.
func (p *progress) say(text string) {
	p.end()
	fmt.Fprintln(p.w, text)
}

// end ends a line that stands open.
func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.w)
		p.open = false
	}
}
