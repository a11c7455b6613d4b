package opcua

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

// settings is a configuration with everything filled in.
type settings struct {
	Config
	session   session.Settings
	keepalive time.Duration
	timeout   time.Duration
	lifetime  time.Duration
	groups    []group
}

// group is a subscription with everything filled in.
type group struct {
	name       string
	publish    time.Duration
	sampling   time.Duration // 0 for every change
	queue      uint32
	keepOldest bool
	nodes      []node
}

// node is a variable that is watched.
type node struct {
	Node
	id    *ua.NodeID // of no use before the namespace is known, where that is named by its URI
	named *named     // nil where the namespace is a number
	index string     // IndexRange of the standard, empty for all of the value
}

// Validate returns all that is wrong, with code [penstock.Invalid].
func (c *Config) Validate() error {
	_, err := newSettings(*c)
	return err
}

// checker collects what is wrong, each with its key.
type checker struct{ found []error }

func (p *checker) refuse(key, format string, args ...any) {
	p.found = append(p.found, penstock.Errorf(penstock.Invalid, "%s: %s", key, fmt.Sprintf(format, args...)))
}

// within returns a duration, or the default when it was left out.
func (p *checker) within(key string, d config.Duration, otherwise, low, high time.Duration) time.Duration {
	span := cmp.Or(d.Std(), otherwise)
	if span < low || span > high {
		p.refuse(key, "%s is outside %s to %s", span, config.Duration(low), config.Duration(high))
	}
	return span
}

func newSettings(c Config) (settings, error) {
	var p checker
	s := settings{Config: c}
	s.session = session.Settings{
		Endpoint: c.Endpoint, Security: c.Security, User: c.User, Password: c.Password, Identity: c.UserIdentity,
	}
	if err := s.session.Fill(); err != nil {
		p.found = append(p.found, err)
	}
	s.keepalive = p.within("keepalive", c.Keepalive, defaultKeepalive, 100*time.Millisecond, time.Hour)
	s.timeout = p.within("timeout", c.Timeout, defaultTimeout, 100*time.Millisecond, 5*time.Minute)
	s.lifetime = p.within("lifetime", c.Lifetime, defaultLifetime, 10*time.Second, 24*time.Hour)
	if len(c.Groups) == 0 || len(c.Groups) > maxGroups {
		p.refuse("groups", "a source has 1 to %d groups, this one has %d", maxGroups, len(c.Groups))
	}
	names, total := map[string]bool{}, 0
	seen := map[string]string{}
	for i := range c.Groups {
		g := &c.Groups[i]
		key := fmt.Sprintf("groups[%d]", i)
		switch {
		case g.Name == "" && len(c.Groups) > 1:
			p.refuse(key+".name", "each group needs a name where there are several")
		case names[g.Name]:
			p.refuse(key+".name", "%q is the name of another group too", g.Name)
		}
		names[g.Name] = true
		total += len(g.Nodes)
		s.groups = append(s.groups, p.group(key, g, seen))
	}
	if total > maxNodes {
		p.refuse("groups", "a source has at most %d nodes, this one has %d: make several sources of it", maxNodes, total)
	}
	slowest := s.keepalive
	for i := range s.groups {
		slowest = max(slowest, s.groups[i].publish)
	}
	s.session.Timeout, s.session.Longest = s.timeout, 2*s.patience(2*slowest)
	return s, errors.Join(p.found...)
}

// group fills in a group. Seen holds where each point of all groups comes from.
func (p *checker) group(key string, c *Group, seen map[string]string) group {
	g := group{
		name: c.Name, queue: cmp.Or(c.Queue, defaultQueue), keepOldest: c.KeepOldest,
		publish: p.within(key+".publish", c.Publish, defaultPublish, 10*time.Millisecond, time.Hour),
	}
	g.sampling = p.within(key+".sampling", c.Sampling, g.publish, time.Millisecond, time.Hour)
	if c.EveryChange {
		if c.Sampling != 0 {
			p.refuse(key+".every_change", "it stands in place of sampling: leave one of them out")
		}
		g.sampling = 0
	}
	if g.queue > maxQueue {
		p.refuse(key+".queue", "%d is outside 1 to %d", g.queue, maxQueue)
	}
	if len(c.Nodes) == 0 {
		p.refuse(key+".nodes", "nothing is watched")
	}
	for i := range c.Nodes {
		g.nodes = append(g.nodes, p.node(fmt.Sprintf("%s.nodes[%d]", key, i), c.Nodes[i], seen))
	}
	return g
}

func (p *checker) node(key string, c Node, seen map[string]string) node {
	n := node{Node: c}
	var err error
	if n.id, n.named, err = parseNode(c.Node); err != nil {
		p.refuse(key+".node", "%v", err)
	}
	if c.Index != nil {
		n.index = fmt.Sprint(*c.Index)
	}
	if err := penstock.CheckControllerName(c.Controller); err != nil {
		p.refuse(key+".controller", "%v", err)
	}
	if err := penstock.CheckPointName(c.Point); err != nil {
		p.refuse(key+".point", "%v", err)
	}
	if err := penstock.CheckUnit(c.Unit); err != nil {
		p.refuse(key+".unit", "%v", err)
	}
	name := c.Controller + "/" + c.Point
	if other, taken := seen[name]; taken {
		p.refuse(key+".point", "%s is the point %s too", other, name)
	}
	seen[name] = key
	return n
}
