package install

import (
	"bytes"
	"embed"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"text/template"

	"github.com/penstock/penstock/internal/allow"
)

//go:embed files
var files embed.FS

// handedOver are the listeners whose sockets systemd makes and hands over.
var handedOver = []string{"https", "mqtt", "link"}

// handed returns the listeners for which systemd makes the socket.
func (o Options) handed() []Listener {
	var list []Listener
	for _, l := range o.Listeners {
		if l.Network == "tcp" && slices.Contains(handedOver, l.Name) && !strings.HasSuffix(l.Address, ":0") {
			list = append(list, l)
		}
	}
	return list
}

// socketUnit returns the name of a listener's socket unit.
func socketUnit(name string) string {
	if name == "https" {
		return "penstock.socket"
	}
	return "penstock-" + name + ".socket"
}

// filled returns a file of the package with its places filled.
func filled(name string, values any) []byte {
	var b bytes.Buffer
	text, err := files.ReadFile("files/" + name)
	if err == nil {
		t := template.Must(template.New(name).Parse(string(text)))
		err = t.Execute(&b, values)
	}
	if err != nil {
		return fmt.Appendf(nil, "%s: %v", name, err) // a test fills every file
	}
	return b.Bytes()
}

// mountPoints are what the gateway's own root needs, so that systemd finds where
// to mount.
var mountPoints = []string{
	"dev", "proc", "sys", "run", "tmp", "var/tmp", "var/lib/penstock", "etc/penstock", "etc/ssl/certs", "usr/bin", "usr/local/bin", "usr/share/zoneinfo",
}

// unitFiles returns the units.
func (o Options) unitFiles() []Step {
	var sockets []string
	for _, l := range o.handed() {
		sockets = append(sockets, socketUnit(l.Name))
	}
	unit := func(name string, content []byte) Step {
		return file{path: o.units() + "/" + name, content: content, mode: 0o644, owner: root}
	}
	steps := []Step{unit("penstock.service", filled("penstock.service", map[string]string{
		"Program": o.program(), "Config": Config, "Keys": Keys, "Etc": Etc, "Root": RootDir, "Account": Account, "Sockets": strings.Join(sockets, " "),
	}))}
	for _, l := range o.handed() {
		steps = append(steps, unit(socketUnit(l.Name), filled("penstock.socket", map[string]string{"Name": l.Name, "Stream": stream(l.Address)})))
	}
	if o.Serial {
		steps = append(steps, unit("penstock.service.d/serial.conf", filled("serial.conf", nil)))
	}
	return steps
}

// stream returns an address as systemd writes it: the port alone for all
// interfaces.
func stream(address string) string {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err == nil && host == "":
		return port
	case err == nil && host == "localhost": // systemd takes numbers only
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// configuration returns the configuration that a new installation begins with.
func (o Options) configuration() []byte {
	quoted := make([]string, len(o.From))
	for i, from := range o.From {
		quoted[i] = `"` + from.String() + `"`
	}
	return filled("penstock.yaml", map[string]string{"Allow": strings.Join(quoted, ", ")})
}

// firewallFiles returns the rules and the unit that loads them.
func (o Options) firewallFiles() []Step {
	var sockets []string
	for _, l := range o.handed() {
		sockets = append(sockets, socketUnit(l.Name))
	}
	return []Step{
		file{path: firewall, content: filled("firewall.nft", map[string][]string{"Rules": Rules(o.Listeners, o.From)}), mode: 0o640, owner: root},
		file{path: ownUnits + "/penstock-firewall.service", mode: 0o644, owner: root,
			content: filled("firewall.service", map[string]any{"File": firewall, "Sockets": sockets})},
	}
}

// Rules returns the rules of nftables that let only the networks reach the
// listeners. Listeners on loopback need none.
func Rules(listeners []Listener, from []netip.Prefix) []string {
	var rules []string
	for _, network := range []string{"tcp", "udp"} {
		var ports []string
		for _, l := range listeners {
			host, port, err := net.SplitHostPort(l.Address)
			if ip, bad := netip.ParseAddr(host); err != nil || l.Network != network || host == "localhost" || bad == nil && ip.IsLoopback() {
				continue
			}
			if !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
		if len(ports) == 0 {
			continue
		}
		at := network + " dport { " + strings.Join(ports, ", ") + " } "
		if four := only(from, true); len(four) > 0 {
			rules = append(rules, at+"ip saddr "+set(four)+" accept")
		}
		if six := only(from, false); len(six) > 0 {
			rules = append(rules, at+"ip6 saddr "+set(six)+" accept")
		}
		rules = append(rules, at+"counter drop")
	}
	return rules
}

// only returns the prefixes of one family.
func only(from []netip.Prefix, four bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(from), func(p netip.Prefix) bool { return p.Addr().Is4() != four })
}

func set(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return "{ " + strings.Join(texts, ", ") + " }"
}

// ParseFrom reads networks as people write them: an address alone is itself.
// Errors have code [penstock.Invalid].
func ParseFrom(texts []string) ([]netip.Prefix, error) {
	var from []netip.Prefix
	for _, text := range texts {
		p, err := allow.Network(text)
		if err != nil {
			return nil, err
		}
		from = append(from, p)
	}
	return from, nil
}
