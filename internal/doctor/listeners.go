package doctor

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/penstock/penstock/internal/ports"
)

// PortState is a configured port with who holds it.
type PortState struct {
	Listener
	Holders []ports.Holder `json:"holders"`
	Ours    bool           `json:"ours"` // the gateway itself holds it, or systemd for it
}

// Ports returns every configured port with its holders.
func Ports(m Machine, s Subject) ([]PortState, error) {
	x := &examination{Machine: m, Subject: s}
	gateway := x.gateway()
	states := []PortState{}
	for _, l := range s.Listeners {
		holders, err := m.ports().Holders(l.Network, l.Address)
		if err != nil {
			return nil, err
		}
		ours := slices.ContainsFunc(holders, func(h ports.Holder) bool {
			return h.PID != 0 && h.PID == gateway || h.PID == 1 && x.exists("run/systemd/system")
		})
		states = append(states, PortState{Listener: l, Holders: append([]ports.Holder{}, holders...), Ours: ours})
	}
	return states, nil
}

func checkPorts(_ context.Context, x *examination) []finding {
	states, err := Ports(x.Machine, x.Subject)
	if err != nil {
		return finding{trouble: short, found: "who holds which cannot be read: " + err.Error(), fix: "mount proc at /proc; 'ss -ltnp' shows it too"}.one()
	}
	var found []finding
	for _, s := range states {
		f := finding{name: s.Key, found: s.Address + "/" + s.Network + " is free"}
		switch {
		case s.Ours:
			f.found = s.Address + "/" + s.Network + " is held by the gateway"
		case len(s.Holders) > 0:
			f.trouble = broken
			f.found = s.Address + "/" + s.Network + " is held by " + ports.Names(s.Holders)
			f.fix = "stop that program, or give the gateway another port (key " + s.Key + "); 'penstock serve --take-port' stops it after asking"
		case x.tooLow(s.Address):
			f.trouble = broken
			f.found += ", but only root may take it"
			f.fix = "have systemd listen for it ('penstock install' does), or allow it: sysctl net.ipv4.ip_unprivileged_port_start=80"
		}
		found = append(found, f)
	}
	return found
}

// tooLow tells whether an account without rights may not take the port. With the
// socket unit that install makes, systemd takes it.
func (m Machine) tooLow(address string) bool {
	const usual = 1024
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	port, err := strconv.Atoi(text)
	if err != nil || port == 0 {
		return false
	}
	first := usual
	if text, err := m.read("proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
		if n, err := strconv.Atoi(text); err == nil {
			first = n
		}
	}
	return port < first && !m.socketUnit(fmt.Sprint(port))
}
