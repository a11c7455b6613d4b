package doctor

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// unitDirectories are where units of systemd stand, the strongest first.
var unitDirectories = []string{"etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"}

// unit returns the text of a unit, and whether there is one.
func (m Machine) unit(name string) (string, bool) {
	for _, dir := range unitDirectories {
		if text, err := m.read(dir, name); err == nil {
			return text, true
		}
	}
	return "", false
}

// socketUnit tells whether systemd listens on the port for the gateway.
func (m Machine) socketUnit(port string) bool {
	for _, name := range []string{"penstock.socket", "penstock-health.socket"} {
		text, _ := m.unit(name)
		for line := range strings.Lines(text) {
			at, ok := strings.CutPrefix(strings.TrimSpace(line), "ListenStream=")
			if ok && (at == port || strings.HasSuffix(at, ":"+port)) {
				return true
			}
		}
	}
	return false
}

func checkManager(_ context.Context, x *examination) []finding {
	if pid := x.gateway(); pid != 0 {
		environment, err := x.read("proc", strconv.Itoa(pid), "environ")
		if err == nil {
			manager := slices.ContainsFunc(strings.Split(environment, "\x00"), func(pair string) bool {
				return strings.HasPrefix(pair, "NOTIFY_SOCKET=") || strings.HasPrefix(pair, "INVOCATION_ID=")
			})
			if manager {
				return fine("one watches the gateway, process %d", pid).one()
			}
			return finding{trouble: short, found: "none watches the gateway, process " + strconv.Itoa(pid), fix: "'penstock install' makes a unit of systemd; without systemd start it below 'penstock supervise'"}.one()
		}
	}
	systemd := x.exists("run/systemd/system")
	_, unit := x.unit("penstock.service")
	links, err := filepath.Glob(x.path("etc/systemd/system/*.wants/penstock.service"))
	switch {
	case systemd && unit && err == nil && len(links) > 0:
		return fine("systemd; penstock.service is enabled").one()
	case systemd && unit:
		return finding{trouble: short, found: "penstock.service is not enabled: it does not start with the machine", fix: "systemctl enable --now penstock"}.one()
	case systemd:
		return finding{trouble: short, found: "systemd, and no unit for the gateway", fix: "sudo penstock install"}.one()
	}
	return finding{trouble: short, found: "no systemd, and no gateway that is watched", fix: "start it below 'penstock supervise'"}.one()
}

func checkLogging(_ context.Context, x *examination) []finding {
	switch {
	case x.exists("run/systemd/journal/socket"):
		f := fine("the journal takes the log; 'journalctl -u penstock' shows it")
		if !x.exists("var/log/journal") {
			f.trouble, f.found, f.fix = short, "the journal keeps the log in memory only: it is gone after a restart", "mkdir -p /var/log/journal && systemctl restart systemd-journald"
		}
		return f.one()
	case x.exists("dev/log"):
		return fine("a syslog daemon listens at /dev/log").one()
	}
	return finding{trouble: short, found: "neither the journal nor a syslog daemon runs", fix: "the gateway logs to standard error: keep it, as 'penstock supervise' does, or install rsyslog"}.one()
}

func checkHealth(_ context.Context, x *examination) []finding {
	i := slices.IndexFunc(x.Listeners, func(l Listener) bool { return l.Key == "listen.health" })
	if i < 0 {
		return finding{trouble: short, found: "listen.health is off", fix: "set listen.health to 127.0.0.1:3000, or to an address that the load balancer reaches"}.one()
	}
	return fine("offered at %s", x.Listeners[i].Address).one()
}
