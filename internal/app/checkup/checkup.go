// Package checkup tells the doctor what a configuration asks of the machine.
package checkup

import (
	"fmt"
	"runtime"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/doctor"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/source"
)

// apiConnections is how many connections the API takes at once.
const apiConnections = 20_000

// What the settings of a source or of a sink may have.
type (
	connecting interface{ Peers() []source.Peer }
	delivering interface{ Peers() []sink.Peer }
	listening  interface{ Ports() []source.Port }
)

// Subject returns what the configuration asks of the machine, its peers
// included.
func Subject(c *settings.Config) doctor.Subject {
	s := doctor.Subject{
		Data: c.Data, Keys: c.Keys, Quota: int64(c.Spool.Quota),
		TLS:     doctor.TLS{Cert: c.TLS.Cert, Key: c.TLS.Key, ClientCA: c.TLS.ClientCA},
		Clients: apiConnections, Sizes: sizes(c),
	}
	listen := func(key, network string, address config.Address) {
		if !address.Off() {
			s.Listeners = append(s.Listeners, doctor.Listener{Key: key, Network: network, Address: string(address)})
		}
	}
	listen("listen.https", "tcp", c.Listen.HTTPS)
	listen("listen.health", "tcp", c.Listen.Health)
	listen("listen.mqtt", "tcp", c.Listen.MQTT)
	listen("listen.link", "tcp", c.Listen.Link)
	listen("listen.link_udp", "udp", c.Listen.LinkUDP)
	if !c.Listen.Link.Off() {
		s.Clients += c.Link.Connections
	}
	for i := range c.Sources {
		add(&s, "sources."+c.Sources[i].Name, c.Sources[i].Settings())
	}
	for i := range c.Sinks {
		if d, ok := c.Sinks[i].Connecting().(delivering); ok {
			peers := d.Peers()
			for _, p := range peers {
				key := "sinks." + c.Sinks[i].Name
				if len(peers) > 1 {
					key += " " + p.Address
				}
				s.Peers = append(s.Peers, doctor.Peer{Key: key, Address: p.Address, Dial: p.Dial})
			}
		}
	}
	return s
}

// add adds what the settings of one part connect to and listen on.
func add(s *doctor.Subject, key string, settings any) {
	if l, ok := settings.(listening); ok {
		for _, p := range l.Ports() {
			s.Listeners = append(s.Listeners, doctor.Listener{Key: key, Network: p.Network, Address: p.Address})
		}
	}
	c, ok := settings.(connecting)
	if !ok {
		return
	}
	peers := c.Peers()
	for _, p := range peers {
		name := key
		if len(peers) > 1 {
			name += " " + p.Address
		}
		s.Peers = append(s.Peers, doctor.Peer{Key: name, Address: p.Address, Dial: p.Dial})
	}
}

// sizes tells what the gateway chooses by itself, and from what.
func sizes(c *settings.Config) []doctor.Size {
	return []doctor.Size{
		{Name: "GOMAXPROCS", Value: fmt.Sprint(runtime.GOMAXPROCS(0)),
			Reason: "as many as the machine and the control group allow, so one instance uses them all; the variable GOMAXPROCS overrides it. Files and the network need no pool of threads: the runtime makes them as they are needed"},
		{Name: "memory of the collector", Value: "64 MiB and a fourth of what is in use",
			Reason: "room to grow between two runs, the same for few and for thousands of connections; GOGC or GOMEMLIMIT override it"},
		{Name: "connections of the API", Value: fmt.Sprint(apiConnections), Reason: "four times 5,000 controllers; beyond it a connection is closed at once, and counted"},
		{Name: "link.connections", Value: fmt.Sprint(c.Link.Connections), Reason: "for controllers that keep a connection; the key overrides it, and open files must allow it"},
		{Name: "spool.quota", Value: c.Spool.Quota.String(), Reason: "what the log may take while the record is down; the key overrides it"},
		{Name: "spool.segment", Value: c.Spool.Segment.String(), Reason: "the piece in which the log is laid out and given back; the key overrides it"},
	}
}
