package opcua

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
)

// settings is a configuration with everything filled in.
type settings struct {
	Config
	host        string
	fingerprint string // in lower case hexadecimal, empty for none
	keepalive   time.Duration
	timeout     time.Duration
	lifetime    time.Duration
	groups      []group
}

// group is a subscription with everything filled in.
type group struct {
	name       string
	publish    time.Duration
	sampling   time.Duration
	queue      uint32
	keepOldest bool
	nodes      []node
}

// node is a variable that is watched.
type node struct {
	Node
	id    *ua.NodeID
	index string // IndexRange of the standard, empty for all of the value
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
	p.endpoint(&s)
	p.security(&s)
	p.user(&s)
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
	return s, errors.Join(p.found...)
}

func (p *checker) endpoint(s *settings) {
	u, err := url.Parse(s.Endpoint)
	switch {
	case err != nil || u.Scheme != "opc.tcp" || u.Hostname() == "":
		p.refuse("endpoint", "%q is no address of a server: write opc.tcp://host:4840/path", s.Endpoint)
	case u.User != nil:
		p.refuse("endpoint", "it has a user or a password: user and password are keys of their own")
	default:
		s.host = u.Hostname()
	}
}

func (p *checker) security(s *settings) {
	c := &s.Security
	c.Policy = cmp.Or(c.Policy, policyBasic256)
	switch c.Policy {
	case policyNone, policyBasic256, policyAes128, policyAes256:
	default:
		p.refuse("security.policy", "%q is none of %s, %s, %s and %s", c.Policy, policyBasic256, policyAes128, policyAes256, policyNone)
	}
	if c.Mode == "" {
		c.Mode = modeSignAndEncrypt
		if c.Policy == policyNone {
			c.Mode = modeNone
		}
	}
	switch {
	case c.Mode != modeNone && c.Mode != modeSign && c.Mode != modeSignAndEncrypt:
		p.refuse("security.mode", "%q is none of %s, %s and %s", c.Mode, modeSignAndEncrypt, modeSign, modeNone)
	case (c.Mode == modeNone) != (c.Policy == policyNone):
		p.refuse("security.mode", "%s does not go with the policy %s", c.Mode, c.Policy)
	}
	p.pair("security.application", c.Application)
	if c.Policy == policyNone {
		if !s.plain() {
			p.refuse("security.policy", "%s is not on this machine, and without security everybody on the way can read and change values: "+
				"use %s, or set plain_text: true", s.host, policyBasic256)
		}
		return
	}
	p.trust(s)
}

// plain tells whether the way to the server may be without protection.
func (s *settings) plain() bool {
	ip := net.ParseIP(s.host)
	return s.Security.PlainText || s.host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *checker) trust(s *settings) {
	c := &s.Security
	hexed, pinned := strings.CutPrefix(c.Trust, fingerprintPrefix)
	switch {
	case c.Trust == "" && c.CA == "":
		p.refuse("security.trust", "nothing says whom to believe: write sha256: and the fingerprint of the server's certificate, "+
			"a ca file, or %s to keep the first that is shown", trustFirst)
	case c.Trust != "" && c.CA != "":
		p.refuse("security.trust", "it is trust or ca, not both")
	case pinned:
		s.fingerprint = strings.ToLower(strings.ReplaceAll(hexed, ":", ""))
		if raw, err := hex.DecodeString(s.fingerprint); err != nil || len(raw) != 32 {
			p.refuse("security.trust", "a fingerprint is sha256: and 64 hexadecimal digits")
		}
	case c.Trust != "" && c.Trust != trustFirst:
		p.refuse("security.trust", "%q is neither sha256:HEX nor %s", c.Trust, trustFirst)
	}
}

func (p *checker) pair(key string, c Pair) {
	if (c.Cert == "") != (c.Key == "") {
		p.refuse(key, "cert and key go together; only one of them is set")
	}
}

func (p *checker) user(s *settings) {
	p.pair("user_identity", s.UserIdentity)
	if s.User == "" && s.Password.Set() {
		p.refuse("user", "there is a password without a user")
	}
	if s.User != "" && s.UserIdentity.Cert != "" {
		p.refuse("user", "it is user and password or user_identity, not both")
	}
}

// group fills in a group. Seen holds where each point of all groups comes from.
func (p *checker) group(key string, c *Group, seen map[string]string) group {
	g := group{
		name: c.Name, queue: cmp.Or(c.Queue, defaultQueue), keepOldest: c.KeepOldest,
		publish: p.within(key+".publish", c.Publish, defaultPublish, 10*time.Millisecond, time.Hour),
	}
	g.sampling = p.within(key+".sampling", c.Sampling, g.publish, time.Millisecond, time.Hour)
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
	id, err := ua.ParseNodeID(c.Node)
	if err != nil || c.Node == "" {
		p.refuse(key+".node", "%q is no node id: write it as in ns=2;s=Pump17.Flow or ns=2;i=1004", c.Node)
	}
	n.id = id
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
