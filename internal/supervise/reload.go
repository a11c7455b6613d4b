package supervise

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
	"github.com/penstock/penstock/internal/supervise/socket"
)

// Change is what a reload did.
type Change struct {
	Of   string `json:"of"`   // an instance, a program, or a key of the configuration
	What string `json:"what"` // in words
}

// Reload reads the configuration again and carries out what has changed: programs
// that are no longer in it end, processes of those that are run otherwise are
// replaced one after the other, new ones start. It tells of each change; what is as
// it was is not touched. A configuration that is wrong, or names what is not there,
// changes nothing. A program whose new process does not become ready goes on as
// it was, and the error names it; the others are not concerned. Reload goes on to its
// end even when its caller loses interest: tell must not block.
func (m *Manager) Reload(tell func(Change)) error {
	if m.o.Read == nil {
		return penstock.Errorf(penstock.Unsupported, "the manager was started without a file (-c FILE): there is nothing to read again")
	}
	m.reloading.Lock()
	defer m.reloading.Unlock()
	m.mu.Lock()
	early := m.running == nil
	m.mu.Unlock()
	if early {
		return penstock.Errorf(penstock.Unavailable, "the manager has only just begun: try again")
	}
	m.tell(m.o.Sender.Reloading())
	err := m.reload(context.Background(), func(of, what string) {
		m.log.Info("by the configuration: "+what, "of", of)
		tell(Change{of, what})
	})
	if err != nil {
		m.log.Error("the configuration was not taken over, or not all of it", "error", err)
	}
	m.tell(m.o.Sender.Ready("runs " + strings.Join(m.names(), ", ")))
	return err
}

func (m *Manager) reload(ctx context.Context, tell func(of, what string)) error {
	c, from, err := m.o.Read()
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "nothing was changed: %w", err)
	}
	p, err := newPlan(ctx, &c, m.sockets, from)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "nothing was changed: %w", err)
	}
	m.mu.Lock()
	m.changing = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.changing = false
		m.mu.Unlock()
		m.changed()
	}()
	if c.Runtime != m.o.Config.Runtime {
		tell("runtime", "holds from the next start of the manager")
	}
	if !reflect.DeepEqual(c.Log, m.o.Config.Log) {
		tell("log", "holds from the next start of the manager")
	}
	maps.Copy(m.sockets, p.sockets)
	m.shed(p, tell)
	m.prune(p)
	err = errors.Join(m.turn(ctx, p, tell), m.grow(ctx, p, tell))
	m.prune(p)
	return err
}

// shed ends what is not in the plan.
func (m *Manager) shed(p *plan, tell func(of, what string)) {
	left := slices.DeleteFunc(m.of("", 0), func(i *instance) bool {
		d := p.programs[i.name]
		return d != nil && i.number <= d.program.instances()
	})
	m.dismiss(left)
	for _, i := range left {
		tell(i.String(), "has ended")
	}
}

// turn gives each program that is run otherwise its new definition, and its
// processes their successors where that needs others.
func (m *Manager) turn(ctx context.Context, p *plan, tell func(of, what string)) error {
	var failed []error
	for _, name := range m.names() {
		d := p.programs[name]
		for _, i := range m.of(name, 0) {
			was := i.definition()
			process, treatment := was.program.difference(&d.program)
			if len(treatment) > 0 && len(process) == 0 {
				i.redefine(d)
				tell(i.String(), strings.Join(treatment, ", ")+": holds from now on, for the process that runs")
				continue
			}
			if len(process) == 0 {
				continue
			}
			changed := strings.Join(slices.Concat(process, treatment), ", ")
			if v, _ := i.state(); !v.Wanted && (v.State == lifecycle.Stopped || v.State == lifecycle.Stopping) {
				i.redefine(d)
				tell(i.String(), changed+": holds from its next start; it was stopped, and stays so")
				continue
			}
			began := m.o.Now()
			if err := i.replace(ctx, d); err != nil {
				failed = append(failed, penstock.Errorf(penstock.CodeOf(err), "%w; %s goes on as it was", err, name))
				break
			}
			tell(i.String(), changed+": was replaced in "+m.took(began))
		}
	}
	return errors.Join(failed...)
}

// grow starts what is new in the plan.
func (m *Manager) grow(ctx context.Context, p *plan, tell func(of, what string)) error {
	var added []*instance
	var answers []<-chan error
	for _, name := range slices.Sorted(maps.Keys(p.programs)) {
		d := p.programs[name]
		for number := len(m.of(name, 0)) + 1; number <= d.program.instances(); number++ {
			i := m.newInstance(name, number, d)
			answer, err := i.expect(nil)
			if err != nil {
				return err
			}
			added, answers = append(added, i), append(answers, answer)
		}
	}
	if err := m.hire(added); err != nil {
		return err
	}
	began := m.o.Now()
	var failed []error
	for n, i := range added {
		if err := i.hearAnswer(ctx, answers[n]); err != nil {
			failed = append(failed, penstock.Errorf(penstock.CodeOf(err), "new: %w", err))
			continue
		}
		tell(i.String(), "was started in "+m.took(began))
	}
	return errors.Join(failed...)
}

func (m *Manager) took(began time.Time) string {
	return m.o.Now().Sub(began).Round(time.Millisecond).String()
}

// prune closes the sockets that neither the plan nor an instance wants.
func (m *Manager) prune(p *plan) {
	wanted := map[int]bool{}
	for _, i := range m.of("", 0) {
		for _, s := range i.definition().sockets {
			wanted[s.Descriptor()] = true
		}
	}
	maps.DeleteFunc(m.sockets, func(place string, s *socket.Socket) bool {
		if p.sockets[place] != nil || wanted[s.Descriptor()] {
			return false
		}
		if err := s.Close(); err != nil {
			m.log.Warn("a socket that nobody wants any more could not be closed", "socket", s.Spec.String(), "error", err)
		}
		return true
	})
}
