package script

import (
	_ "embed"
	"errors"
	"fmt"

	"modernc.org/quickjs"
)

//go:embed prelude.js
var prelude string

// loadTimes is how many times longer than for a report a script may take to load,
// which happens once.
const loadTimes = 20

// machine is a virtual machine with the script in it. One goroutine uses it.
type machine struct {
	config *Config
	vm     *quickjs.VM
	held   []quickjs.Value
	run    quickjs.Value // run(request, state) → answer
	lines  quickjs.Value // lines() → those of a run that failed
	line   int           // of onReport
}

// newMachine makes a machine and loads the script.
func newMachine(c *Config, source string) (*machine, *Fault) {
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, faultOf(err, c, 0)
	}
	m := &machine{config: c, vm: vm}
	vm.SetMemoryLimit(uintptr(c.Memory))
	vm.SetCanBlock(false)
	vm.SetModuleLoader(func(_ *quickjs.VM, name string) (string, error) {
		if name == c.name() {
			return source, nil
		}
		return "", fmt.Errorf("a script is one file without modules: there is nothing to import from %.80q", name)
	}, func(_ *quickjs.VM, _, name string) (string, error) { return name, nil })
	patient := *c
	patient.Timeout = patient.Timeout * loadTimes
	err = errors.Join(vm.SetEvalTimeout(patient.Timeout.Std()), m.load(), vm.SetEvalTimeout(c.Timeout.Std()))
	if err != nil {
		fault := faultOf(err, &patient, 0)
		m.close()
		return nil, fault
	}
	return m, nil
}

// load evaluates the prelude, and the script in it.
func (m *machine) load() error {
	outer, err := m.keep(m.vm.EvalValue(prelude, quickjs.EvalGlobal))
	if err != nil {
		return err
	}
	inner, err := m.keep(outer.CallValue(quickjs.UndefinedValue, m.config.name(), int(m.config.State)))
	if err != nil {
		return err
	}
	part := func(name string) (v quickjs.Value) {
		if err != nil {
			return v
		}
		var atom quickjs.Atom
		if atom, err = m.vm.NewAtom(name); err == nil {
			v, err = m.keep(inner.GetPropertyValue(atom))
		}
		return v
	}
	load, loaded := part("load"), part("loaded")
	m.run, m.lines = part("run"), part("lines")
	if err != nil {
		return err
	}
	if _, err := load.Call(quickjs.UndefinedValue); err != nil {
		return err
	}
	if _, err := m.vm.ExecutePendingJobs(); err != nil {
		// What stopped the script waits behind it, with the place.
		if _, again := m.vm.ExecutePendingJobs(); again != nil {
			return err
		}
	}
	line, err := loaded.Call(quickjs.UndefinedValue)
	m.line, _ = line.(int) // of what cannot be anything else
	return err
}

// keep has close free the value.
func (m *machine) keep(v quickjs.Value, err error) (quickjs.Value, error) {
	if err == nil {
		m.held = append(m.held, v)
	}
	return v, err
}

// call runs the script on a request, and returns its answer, or what the console
// said before it failed and why that was.
func (m *machine) call(request, state string) (answer string, fault *Fault) {
	out, err := m.run.Call(quickjs.UndefinedValue, request, state)
	if text, ok := out.(string); ok && err == nil {
		return text, nil
	}
	if err == nil {
		err = errors.New("the script broke what stands around it")
	}
	fault = faultOf(err, m.config, m.line)
	if out, err = m.lines.Call(quickjs.UndefinedValue); err == nil {
		answer, _ = out.(string)
	}
	return answer, fault
}

func (m *machine) close() {
	for i := range m.held {
		m.held[i].Free()
	}
	m.held = nil
	_ = m.vm.Close() // it never fails
}
