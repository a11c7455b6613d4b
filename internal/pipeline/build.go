package pipeline

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/flow"
)

// frameOf returns the beginning of the names of a step's functions, as stacks show
// them, and that of what calls them.
func frameOf(step any) string {
	name := fmt.Sprintf("%T", step)
	if pointer, ok := strings.CutPrefix(name, "*"); ok {
		name = strings.Replace(pointer, ".", ".(*", 1) + ")"
	}
	return name + ".|pipeline.(*stage).run"
}

// build returns the stages of a list that was checked.
func build(cfg Config, deps Deps) []stage {
	var stages []stage
	add := func(name string, step any) {
		s := stage{name: name}
		s.envelope, _ = step.(envelopeStep)
		s.report, _ = step.(reportStep)
		s.closing, _ = step.(closingStep)
		s.flow = deps.Flow.Stage(name, flow.Acknowledgement, frameOf(step))
		if deps.Observer != nil {
			s.took = deps.Observer.Step(name)
		}
		stages = append(stages, s)
	}
	for i := range cfg {
		name, _ := cfg[i].name()
		switch c := &cfg[i]; name {
		case limitPeerName:
			add(name, newLimitPeer(*c.LimitPeer))
		case authenticateName:
			add(name, newAuthenticate(*c.Authenticate, deps.Fleet))
		case limitName:
			add(name, newLimit(*c.Limit))
		case logName:
			add(name, newLog(*c.Log, deps.Log))
		case checksumName:
			add(name, newChecksum(*c.Checksum))
		case decodeName:
			add(name, newDecode(*c.Decode, deps))
			add(scopeName, scope{})
			add(registerName, register{deps.Fleet})
		case scriptName:
			add(name, scripted{deps.Script})
		case validateName:
			add(name, newValidate(*c.Validate, deps.Fleet))
		case stampName:
			add(name, stamp{})
		}
	}
	add(learnName, learn{deps.Fleet})
	if deps.Evidence != nil {
		add(signalsName, signals{deps.Fleet})
	}
	return stages
}
