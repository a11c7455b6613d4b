package doctor

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fastCard is the recommended speed of a card in Mb/s.
const fastCard = 1000

// checkCards looks at every card of the machine that is up.
func checkCards(_ context.Context, x *examination) []finding {
	entries, err := os.ReadDir(x.path("sys", "class", "net"))
	if err != nil {
		return finding{trouble: short, found: "the cards are not shown: " + err.Error(), fix: "mount sysfs at /sys"}.one()
	}
	var found []finding
	for _, e := range entries {
		if f, ok := x.card(e.Name()); ok {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return finding{trouble: broken, found: "no card is up", fix: "look at the cable and at 'ip link'; 'ip link set DEVICE up' switches one on"}.one()
	}
	return found
}

// card returns what is known of a card; not of those that are off or lead nowhere.
func (m Machine) card(name string) (finding, bool) {
	read := func(file string) string {
		text, err := m.read("sys", "class", "net", name, file)
		if err != nil {
			return ""
		}
		return text
	}
	const loopback = "772" // ARPHRD_LOOPBACK
	if read("type") == loopback || read("operstate") != "up" {
		return finding{}, false
	}
	f := finding{name: name, found: "up"}
	speed, err := strconv.Atoi(read("speed"))
	switch {
	case err != nil || speed <= 0:
		f.found += "; it does not tell its speed, as virtual ones do not"
	default:
		f.found += fmt.Sprintf("; %d Mb/s", speed)
		if duplex := read("duplex"); duplex != "" && duplex != "unknown" {
			f.found += ", " + duplex + " duplex"
		}
		if speed < fastCard {
			f.trouble, f.fix = short, "1000 Mb/s are recommended: look at cable, switch port and 'ethtool "+name+"'"
		}
		if read("duplex") == "half" {
			f.trouble, f.fix = broken, "half duplex loses packets under load: both ends must negotiate ('ethtool "+name+"' shows them)"
		}
	}
	if bad, total := number(read("statistics/rx_errors")), number(read("statistics/rx_packets")); bad > 100 && bad > total/10_000 {
		f.trouble = max(f.trouble, short)
		f.found += fmt.Sprintf("; %d of %d packets came damaged", bad, total)
		f.fix += strings.TrimPrefix("; replace the cable or the transceiver, 'ethtool -S "+name+"' tells the kind of damage", map[bool]string{true: "; "}[f.fix == ""])
	}
	return f, true
}

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// slowDNS is a time after which an answer is late.
const slowDNS = time.Second

// checkDNS resolves the names of all peers.
func checkDNS(ctx context.Context, x *examination) []finding {
	var hosts []string
	for _, p := range x.Peers {
		host, _, err := net.SplitHostPort(p.Address)
		if err == nil && net.ParseIP(host) == nil && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 {
		return fine("no peer is configured by a name").one()
	}
	var wrong []string
	var slowest time.Duration
	for _, host := range hosts {
		began := x.Now()
		if _, err := x.Resolve(ctx, host); err != nil {
			wrong = append(wrong, err.Error())
		}
		slowest = max(slowest, x.Now().Sub(began))
	}
	const fix = "look at /etc/resolv.conf and 'getent hosts NAME'; a name in /etc/hosts works without any server"
	switch {
	case len(wrong) > 0:
		return finding{trouble: broken, found: strings.Join(wrong, "; "), fix: fix}.one()
	case slowest > slowDNS:
		return finding{trouble: short, found: fmt.Sprintf("an answer took %v", slowest.Round(time.Millisecond)), fix: fix}.one()
	}
	return fine("%d names of peers are known, the slowest answer took %v", len(hosts), slowest.Round(time.Millisecond)).one()
}
