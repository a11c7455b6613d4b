package supervise

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
	"github.com/penstock/penstock/internal/supervise/socket"
)

// definition is how the instances of a program are run. It never changes: another
// takes its place.
type definition struct {
	program Program
	policy  lifecycle.Policy
	sockets []*socket.Socket // of the manager, under the names that the program knows
}

// plan is what a configuration comes to.
type plan struct {
	programs map[string]*definition
	sockets  map[string]*socket.Socket // all that the programs inherit, by place
	fresh    []*socket.Socket          // those that were not bound before
}

// newPlan finds the files of the programs and binds the sockets that are not among
// those held. An error leaves nothing behind.
func newPlan(ctx context.Context, c *Config, held map[string]*socket.Socket, from *config.Loaded) (_ *plan, err error) {
	p := &plan{programs: map[string]*definition{}, sockets: map[string]*socket.Socket{}}
	defer func() {
		if err != nil {
			p.discard()
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(c.Programs)) {
		if key, err := p.add(ctx, name, c.Programs[name], held); err != nil {
			key = "programs." + name + key
			if from != nil {
				key = from.Where(key) + ": " + key
			}
			return nil, penstock.Errorf(penstock.CodeOf(err), "%s: %w", key, err)
		}
	}
	return p, nil
}

// add adds a program; key is that of what is wrong.
func (p *plan) add(ctx context.Context, name string, program Program, held map[string]*socket.Socket) (key string, err error) {
	d := &definition{program: program}
	if _, err := program.path(); err != nil {
		return ".command", err
	}
	if d.policy, err = program.policy(); err != nil {
		return ".stop_signal", err
	}
	for i, text := range program.Listen {
		s, err := p.socket(ctx, name, i, text, held)
		if err != nil {
			return fmt.Sprintf(".listen[%d]", i), err
		}
		d.sockets = append(d.sockets, s)
	}
	p.programs[name] = d
	return "", nil
}

// socket returns a socket under the name that the program knows.
func (p *plan) socket(ctx context.Context, program string, index int, text string, held map[string]*socket.Socket) (*socket.Socket, error) {
	spec, err := socket.Parse(text)
	if err != nil {
		return nil, err
	}
	place := spec.Network + ":" + spec.Address
	if strings.HasSuffix(spec.Address, ":0") {
		place = fmt.Sprintf("%s of %s, %d", place, program, index) // another port each time
	}
	s := held[place]
	if s == nil {
		if s, err = spec.Bind(ctx); err != nil {
			return nil, err
		}
		p.fresh = append(p.fresh, s)
	}
	p.sockets[place] = s
	named := *s
	named.Name = spec.Name
	return &named, nil
}

// discard closes what the plan has bound.
func (p *plan) discard() {
	for _, s := range p.fresh {
		s.Close()
	}
}

// path finds the file of the program.
func (p *Program) path() (string, error) {
	name := p.Command[0]
	if strings.Contains(name, "/") && !filepath.IsAbs(name) && p.Directory != "" {
		name = filepath.Join(p.Directory, name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", penstock.Errorf(penstock.NotFound, "%w", err)
	}
	return filepath.Abs(path)
}

// difference names the keys in which two programs differ: those of the process
// itself, for which it must be replaced, and those of its treatment. The number of
// instances is neither.
func (p *Program) difference(o *Program) (process, treatment []string) {
	for _, one := range []struct {
		key  string
		same bool
		of   *[]string
	}{
		{"command", slices.Equal(p.Command, o.Command), &process},
		{"directory", p.Directory == o.Directory, &process},
		{"environment", maps.Equal(p.Environment, o.Environment), &process},
		{"listen", slices.Equal(p.Listen, o.Listen), &process},
		{"watchdog", p.Watchdog == o.Watchdog, &process},
		{"restart", p.Restart == o.Restart, &treatment},
		{"ready", p.Ready == o.Ready, &treatment},
		{"overlap", p.Overlap == o.Overlap, &treatment},
		{"start_timeout", p.StartTimeout == o.StartTimeout, &treatment},
		{"stop_timeout", p.StopTimeout == o.StopTimeout, &treatment},
		{"stop_signal", p.StopSignal == o.StopSignal, &treatment},
		{"memory", p.Memory == o.Memory, &treatment},
		{"give_up", p.GiveUp == o.GiveUp, &treatment},
	} {
		if !one.same {
			*one.of = append(*one.of, one.key)
		}
	}
	return process, treatment
}
