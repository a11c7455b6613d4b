package ports

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Machine is where sockets and processes are looked up.
type Machine struct {
	Root string // below it are proc and etc; "/" when empty
}

func (m Machine) path(elements ...string) string {
	root := m.Root
	if root == "" {
		root = "/"
	}
	return filepath.Join(append([]string{root}, elements...)...)
}

// socket is a bound socket as the kernel lists it.
type socket struct {
	at    netip.AddrPort
	uid   int
	inode string
}

// Columns of /proc/net/tcp and its like.
const (
	columnLocal = 1
	columnState = 3
	columnUID   = 7
	columnInode = 9
)

// stateListen and stateBound are those of sockets that take a port.
const (
	stateListen = "0A" // TCP
	stateBound  = "07" // UDP
)

// sockets returns what holds a port in the network: "tcp" or "udp", over IPv4
// and IPv6.
func (m Machine) sockets(network string) ([]socket, error) {
	wanted := stateListen
	if network == "udp" {
		wanted = stateBound
	}
	var found []socket
	for _, table := range []string{network, network + "6"} {
		f, err := os.Open(m.path("proc", "net", table))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the kernel has no IPv6
		}
		if err != nil {
			return nil, err
		}
		list, err := readSockets(f, wanted)
		f.Close()
		if err != nil {
			return nil, err
		}
		found = append(found, list...)
	}
	return found, nil
}

// readSockets reads a table of the kernel. Lines that are no sockets are left
// out.
func readSockets(r io.Reader, wanted string) ([]socket, error) {
	var found []socket
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) <= columnInode || fields[columnState] != wanted {
			continue
		}
		at, err := parseAddress(fields[columnLocal])
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(fields[columnUID])
		if err != nil {
			continue
		}
		found = append(found, socket{at: at, uid: uid, inode: fields[columnInode]})
	}
	return found, lines.Err()
}

// parseAddress reads an address as the kernel writes it: words of four bytes,
// each with its last byte first, and the port as a number.
func parseAddress(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b, err := hex.DecodeString(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for word := 0; word+4 <= len(b); word += 4 {
		b[word], b[word+1], b[word+2], b[word+3] = b[word+3], b[word+2], b[word+1], b[word]
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, strconv.ErrSyntax
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), nil
}

// clashes tells whether a socket stands in the way of one at host and port. An
// address that is a name may mean any.
func (s socket) clashes(host string, port uint16) bool {
	if s.at.Port() != port {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || ip.IsUnspecified() || s.at.Addr().IsUnspecified() || ip.Unmap() == s.at.Addr()
}
