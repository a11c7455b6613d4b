package sparkplug

import (
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/topic"
)

// Config says how edge nodes are followed. The zero Config is valid.
type Config struct {
	Node    string          `yaml:"node,omitempty" jsonschema_description:"name of an edge node as a controller; {group}:{node} when left out"`
	Device  string          `yaml:"device,omitempty" jsonschema_description:"name of a device as a controller; {group}:{node}:{device} when left out"`
	Rebirth []string        `yaml:"rebirth,omitempty" jsonschema_description:"edge nodes that may be asked for their births, as group/node with * for any run of characters; none when left out"`
	Reorder config.Duration `yaml:"reorder,omitempty" jsonschema_description:"how long a message that came before its turn waits for the missing ones, 10ms to 1m; 2s when left out"`
	Nodes   int             `yaml:"max_nodes,omitempty" jsonschema_description:"edge nodes that are followed at once; 10000 when left out"`
	Metrics int             `yaml:"max_metrics,omitempty" jsonschema_description:"metrics of all edge nodes together; 250000 when left out"`
}

// What the settings are when left out.
const (
	defaultNode    = "{group}:{node}"
	defaultDevice  = "{group}:{node}:{device}"
	defaultReorder = 2 * time.Second
	defaultNodes   = 10_000
	defaultMetrics = 250_000
)

// Validate returns an error of code [penstock.Invalid] when a setting breaks a
// rule.
func (c *Config) Validate() error {
	_, err := newSettings(*c)
	return err
}

// settings is a configuration with everything filled in.
type settings struct {
	node, device   topic.Template
	rebirth        penstock.Scope
	reorder        time.Duration
	nodes, metrics int
}

func newSettings(c Config) (settings, error) {
	s := settings{rebirth: c.Rebirth, reorder: c.Reorder.Std(), nodes: c.Nodes, metrics: c.Metrics}
	var err error
	if s.node, err = topic.ParseTemplate(orElse(c.Node, defaultNode), "group", "node"); err != nil {
		return s, penstock.Errorf(penstock.Invalid, "node: %w", err)
	}
	if s.device, err = topic.ParseTemplate(orElse(c.Device, defaultDevice), "group", "node", "device"); err != nil {
		return s, penstock.Errorf(penstock.Invalid, "device: %w", err)
	}
	if s.reorder == 0 {
		s.reorder = defaultReorder
	}
	if s.reorder < 10*time.Millisecond || s.reorder > time.Minute {
		return s, penstock.Errorf(penstock.Invalid, "reorder: %v is not between 10ms and 1m", s.reorder)
	}
	if s.nodes < 0 || s.metrics < 0 {
		return s, penstock.Errorf(penstock.Invalid, "max_nodes and max_metrics are not negative")
	}
	if s.nodes == 0 {
		s.nodes = defaultNodes
	}
	if s.metrics == 0 {
		s.metrics = defaultMetrics
	}
	return s, nil
}

// controller returns the name of the edge node or device as a controller.
func (s *settings) controller(a address) (string, error) {
	t := s.node
	if a.device != "" {
		t = s.device
	}
	name := t.Expand([]string{"group", "node", "device"}, []string{a.group, a.node, a.device})
	return name, penstock.CheckControllerName(name)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
