package ports

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Holder is a process that holds a port.
type Holder struct {
	PID     int    `json:"pid"`     // 0 when this process may not see whose the socket is
	Command string `json:"command"` // its command line
	User    string `json:"user"`    // the name, or the number when it has none
	Unit    string `json:"unit"`    // of systemd; empty when it belongs to none
	Address string `json:"address"` // what it is bound to

	started string // when the process began, which tells it from a later one of the same number
}

// String names the holder in a sentence.
func (h Holder) String() string {
	if h.PID == 0 {
		return "a process of user " + h.User + " (only root can see which)"
	}
	text := fmt.Sprintf("%q (pid %d, user %s", h.Command, h.PID, h.User)
	if h.Unit != "" {
		text += ", unit " + h.Unit
	}
	return text + ")"
}

// Names joins the holders into one text.
func Names(holders []Holder) string {
	names := make([]string, len(holders))
	for i, h := range holders {
		names[i] = h.String()
	}
	return strings.Join(names, ", ")
}

// maxCommand bounds the command line that is shown, in bytes.
const maxCommand = 120

// Holders returns who holds the address, host:port, in the network "tcp" or
// "udp": none when it is free.
func (m Machine) Holders(network, address string) ([]Holder, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, err
	}
	sockets, err := m.sockets(network)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "::"
	}
	sockets = slices.DeleteFunc(sockets, func(s socket) bool { return !s.clashes(host, uint16(port)) })
	if len(sockets) == 0 {
		return nil, nil
	}
	owners := m.owners(sockets)
	users := m.users()
	var holders []Holder
	for _, s := range sockets {
		pids := owners[s.inode]
		if len(pids) == 0 {
			holders = append(holders, Holder{User: named(users, s.uid), Address: s.at.String()})
		}
		for _, pid := range pids {
			h := m.process(pid, users)
			h.Address = s.at.String()
			if !slices.ContainsFunc(holders, func(known Holder) bool { return known.PID == h.PID }) {
				holders = append(holders, h)
			}
		}
	}
	return holders, nil
}

// owners returns the processes that have each of the sockets open. Those of
// others cannot be seen without root.
func (m Machine) owners(sockets []socket) map[string][]int {
	wanted := map[string]string{}
	for _, s := range sockets {
		wanted["socket:["+s.inode+"]"] = s.inode
	}
	owners := map[string][]int{}
	processes, err := filepath.Glob(m.path("proc", "[0-9]*"))
	if err != nil {
		return nil
	}
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		descriptors, err := os.ReadDir(filepath.Join(process, "fd"))
		if err != nil {
			continue
		}
		for _, d := range descriptors {
			target, err := os.Readlink(filepath.Join(process, "fd", d.Name()))
			if inode, ok := wanted[target]; err == nil && ok && !slices.Contains(owners[inode], pid) {
				owners[inode] = append(owners[inode], pid)
			}
		}
	}
	return owners
}

// process returns what is known of a process; one that has ended meanwhile keeps
// empty fields.
func (m Machine) process(pid int, users map[int]string) Holder {
	dir := m.path("proc", strconv.Itoa(pid))
	h := Holder{PID: pid, User: "unknown"}
	if text, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		h.Command = printable(strings.TrimRight(string(text), "\x00"))
	}
	if text, err := os.ReadFile(filepath.Join(dir, "comm")); err == nil && h.Command == "" {
		h.Command = printable(strings.TrimSpace(string(text)))
	}
	if uid, ok := statusUID(filepath.Join(dir, "status")); ok {
		h.User = named(users, uid)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "cgroup")); err == nil {
		h.Unit = unitOf(string(text))
	}
	h.started = startOf(filepath.Join(dir, "stat"))
	return h
}

// printable returns the words of a command line on one line, without what a
// terminal would obey.
func printable(command string) string {
	shown := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(command, "?"))
	if len(shown) > maxCommand {
		shown = strings.ToValidUTF8(shown[:maxCommand], "") + "…"
	}
	return shown
}

func statusUID(file string) (int, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				uid, err := strconv.Atoi(fields[0])
				return uid, err == nil
			}
		}
	}
	return 0, false
}

// unitOf returns the unit of systemd in a list of control groups.
func unitOf(cgroups string) string {
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || parts[1] != "" && parts[1] != "name=systemd" {
			continue
		}
		for at := parts[2]; at != "/" && at != "." && at != ""; at = path.Dir(at) {
			if unit := path.Base(at); strings.HasSuffix(unit, ".service") || strings.HasSuffix(unit, ".scope") {
				return unit
			}
		}
	}
	return ""
}

// startOf returns the field of a process's start in /proc/PID/stat.
func startOf(file string) string {
	const startField = 19 // counted behind the name
	fields := statFields(file)
	if len(fields) <= startField {
		return ""
	}
	return fields[startField]
}

// statFields returns the fields of /proc/PID/stat behind the program's name,
// which may hold anything and ends with the last parenthesis.
func statFields(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

// users returns the names of the accounts by their numbers.
func (m Machine) users() map[int]string {
	names := map[int]string{}
	f, err := os.Open(m.path("etc", "passwd"))
	if err != nil {
		return names
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 {
			continue
		}
		if uid, err := strconv.Atoi(fields[2]); err == nil && names[uid] == "" {
			names[uid] = fields[0]
		}
	}
	return names
}

func named(users map[int]string, uid int) string {
	if name := users[uid]; name != "" {
		return name
	}
	return strconv.Itoa(uid)
}
