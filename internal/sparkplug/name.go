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

// address is what a topic says.
type address struct {
	kind, group, node, device string
}

// parseAddress reads spBv1.0/GROUP/KIND/NODE[/DEVICE]. Ours is false for what
// host applications say to each other and to edge nodes.
func parseAddress(name string) (a address, ours bool, err error) {
	parts := strings.Split(name, "/")
	if parts[0] != Namespace || len(parts) < 3 {
		return a, false, penstock.Errorf(penstock.Invalid, "the topic %.130q is not one of Sparkplug B", name)
	}
	if parts[1] == "STATE" {
		return a, false, nil
	}
	a = address{group: parts[1], kind: parts[2]}
	levels := 4
	switch a.kind {
	case "NCMD", "DCMD":
		return a, false, nil
	case nodeBirth, nodeDeath, nodeData:
	case deviceBirth, deviceDeath, deviceData:
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
	return a, true, nil
}

// isPoint tells whether a metric is something that was measured.
func isPoint(name string) bool {
	return name != "bdSeq" && !strings.HasPrefix(name, "Node Control/") && !strings.HasPrefix(name, "Device Control/")
}
