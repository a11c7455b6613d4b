package script

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
)

// leastMemory is where [Engine.Need] begins: an empty machine has less.
const leastMemory = 256 << 10

// Need returns how much memory is enough for the report, with the state that the
// controller has now: from at least, doubled until the script does not run out of
// it. It runs the script again and again, in machines of its own, and keeps nothing.
// It is for who writes scripts.
func (e *Engine) Need(r *penstock.Report, least config.Size) config.Size {
	settings := e.config
	request, state := string(appendRequest(nil, r)), e.states.Of(r.Controller)
	for settings.Memory = max(least, leastMemory); settings.Memory < e.config.Memory; settings.Memory *= 2 {
		m, fault := newMachine(&settings, e.source)
		if fault == nil {
			_, fault = m.call(request, state)
			m.close()
		}
		if fault == nil || fault.Kind != Hungry {
			return settings.Memory
		}
	}
	return e.config.Memory
}

// Of returns what scripts keep of a controller, as JSON; empty for nothing.
func (s *States) Of(controller string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[controller]; e != nil {
		return e.text
	}
	return ""
}
