// Package sockets are those that a process manager hands over, and those that the
// gateway binds where none was.
package sockets

import (
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/ports"
	"github.com/penstock/penstock/internal/source"
)

// firstSocket is the descriptor of the first socket that a process manager hands
// over (sd_listen_fds(3)).
const firstSocket = 3

// Set is the sockets that a process manager handed over, by the name that it gave
// them. They are lent: a source that ends closes what it was lent, and the next one is
// lent it again.
type Set map[string]*os.File

// Inherit takes the sockets that LISTEN_FDS announces. The variables are taken out of
// the environment, so that no child mistakes them for its own.
func Inherit() (Set, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxSockets {
		return nil, penstock.Errorf(penstock.Invalid, "LISTEN_FDS is %q, not a number of sockets", count)
	}
	inherited := Set{}
	labels := strings.Split(names, ":")
	for i := range n {
		name := "https" // a single socket without a name is the API's
		if i < len(labels) && labels[i] != "" && labels[i] != "unknown" {
			name = labels[i]
		}
		syscall.CloseOnExec(firstSocket + i)
		file := os.NewFile(uintptr(firstSocket+i), name)
		if twice := inherited[name]; twice != nil {
			file.Close()
			inherited.Close()
			return nil, penstock.Errorf(penstock.Invalid, "two sockets that were handed over have the name %s: give each its own, as in --listen health=127.0.0.1:3000", name)
		}
		inherited[name] = file
	}
	return inherited, nil
}

// maxSockets bounds what is taken from LISTEN_FDS.
const maxSockets = 1024

// Listen returns the socket that was handed over under the name, or binds one.
// Key is that of the configuration, for the error.
func (s Set) Listen(name, key string, address config.Address) (net.Listener, error) {
	if file, ok := s[name]; ok {
		l, err := net.FileListener(file)
		if err != nil {
			return nil, penstock.Errorf(penstock.Invalid, "%s: the socket %s that was handed over is not one to accept connections from: %w", key, name, err)
		}
		return l, nil
	}
	l, err := net.Listen("tcp", string(address))
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "%s: %w%s", key, err, advice(err, "tcp", string(address)))
	}
	return l, nil
}

// ListenPacket is [Set.Listen] for datagrams.
func (s Set) ListenPacket(name, key string, address config.Address) (net.PacketConn, error) {
	if file, ok := s[name]; ok {
		c, err := net.FilePacketConn(file)
		if err != nil {
			return nil, penstock.Errorf(penstock.Invalid, "%s: the socket %s that was handed over is not one for datagrams: %w", key, name, err)
		}
		return c, nil
	}
	c, err := net.ListenPacket("udp", string(address))
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "%s: %w%s", key, err, advice(err, "udp", string(address)))
	}
	return c, nil
}

// advice says what to do about an address that cannot be bound, where that is
// known.
func advice(err error, network, address string) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; " + holder(network, address) + ": stop it, wait for it (--wait-port 30s), take the port from it (--take-port), or choose another port"
	case errors.Is(err, syscall.EACCES):
		return "; ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it or choose a higher port"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; no interface of this machine has that address"
	}
	return ""
}

// holder names who holds an address.
func holder(network, address string) string {
	holders, err := ports.Machine{}.Holders(network, address)
	if err != nil || len(holders) == 0 {
		return "another program has the port (ss -ltnp shows it)"
	}
	return "the port is held by " + ports.Names(holders)
}

// Unused returns the names of sockets that no listener of the configuration
// takes: connections would wait in their queues for ever.
func (s Set) Unused(c *settings.Config) (names []string) {
	specs := c.SourceSpecs()
	for name := range s {
		known := name == "https" || name == "health" && !c.Listen.Health.Off()
		known = known || slices.ContainsFunc(specs, func(spec source.Spec) bool { return name == spec.Name || strings.HasPrefix(name, spec.Name+".") })
		if !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Close gives back what was handed over.
func (s Set) Close() {
	for _, file := range s {
		file.Close()
	}
}
