package sparkplug

import (
	"strings"

	"github.com/penstock/penstock"
)

// Namespace is the first level of the topics of Sparkplug B.
const Namespace = "spBv1.0"

// rebirthMetric is the command that asks an edge node for its births.
const rebirthMetric = "Node Control/Rebirth"

// The kinds of message that are read.
const (
	nodeBirth   = "NBIRTH"
	nodeDeath   = "NDEATH"
	nodeData    = "NDATA"
	deviceBirth = "DBIRTH"
	deviceDeath = "DDEATH"
	deviceData  = "DDATA"
)

// The kinds of message that are sent to edge nodes, and the word that stands in
// the group's place where host applications tell that they are there.
const (
	nodeCommand   = "NCMD"
	deviceCommand = "DCMD"
	stateWord     = "STATE"
)

// address is what a topic says.
type address struct {
	kind, group, node, device string
}

// Subject is whom a topic of Sparkplug B is about.
type Subject struct {
	Controller string // the edge node or device as a controller; empty for a host application
	Speaks     bool   // it speaks itself; false for a command to it
}

// Subject returns whom a topic is about. Errors have code [penstock.Invalid]. It
// is safe for concurrent use, also beside all other methods.
func (h *Host) Subject(name string) (Subject, error) {
	a, ours, err := parseAddress(name)
	if err != nil || a.kind == "" {
		return Subject{}, err
	}
	controller, err := h.controller(a)
	return Subject{controller, ours}, err
}

// parseAddress reads spBv1.0/GROUP/KIND/NODE[/DEVICE]. Ours is false for what
// host applications say to each other, which has no kind, and to edge nodes.
func parseAddress(name string) (a address, ours bool, err error) {
	parts := strings.Split(name, "/")
	if parts[0] != Namespace || len(parts) < 3 {
		return a, false, penstock.Errorf(penstock.Invalid, "the topic %.130q is not one of Sparkplug B", name)
	}
	if parts[1] == stateWord {
		return a, false, nil
	}
	a = address{group: parts[1], kind: parts[2]}
	levels := 4
	switch a.kind {
	case nodeBirth, nodeDeath, nodeData, nodeCommand:
	case deviceBirth, deviceDeath, deviceData, deviceCommand:
		levels = 5
	default:
		return a, false, penstock.Errorf(penstock.Invalid, "%.40q is no kind of message of Sparkplug B", a.kind)
	}
	if len(parts) != levels {
		return a, false, penstock.Errorf(penstock.Invalid, "a topic of %s has %d levels, %.130q has %d", a.kind, levels, name, len(parts))
	}
	a.node = parts[3]
	if levels == 5 {
		a.device = parts[4]
	}
	if a.group == "" || a.node == "" || levels == 5 && a.device == "" {
		return a, false, penstock.Errorf(penstock.Invalid, "the topic %.130q has an empty level", name)
	}
	return a, a.kind != nodeCommand && a.kind != deviceCommand, nil
}

// isPoint tells whether a metric is something that was measured.
func isPoint(name string) bool {
	return name != "bdSeq" && !strings.HasPrefix(name, "Node Control/") && !strings.HasPrefix(name, "Device Control/")
}
