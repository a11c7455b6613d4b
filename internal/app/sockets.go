package app

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/ports"
)

// firstSocket is the descriptor of the first socket that a process manager hands
// over (sd_listen_fds(3)).
const firstSocket = 3

// sockets are the listeners that a process manager handed over, by the name that
// it gave them.
type sockets map[string]net.Listener

// inheritSockets takes the sockets that LISTEN_FDS announces. The variables are
// taken out of the environment, so that no child mistakes them for its own.
func inheritSockets() (sockets, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return nil, penstock.Errorf(penstock.Invalid, "LISTEN_FDS is %q, not a number of sockets", count)
	}
	listeners := sockets{}
	labels := strings.Split(names, ":")
	for i := range n {
		name := "https" // a single socket without a name is the API's
		if i < len(labels) && labels[i] != "" && labels[i] != "unknown" {
			name = labels[i]
		}
		syscall.CloseOnExec(firstSocket + i)
		file := os.NewFile(uintptr(firstSocket+i), name)
		l, err := net.FileListener(file)
		file.Close()
		if err != nil {
			return nil, penstock.Errorf(penstock.Invalid, "socket %d (%s) that was handed over is not one to listen on: %w", firstSocket+i, name, err)
		}
		listeners[name] = l
	}
	return listeners, nil
}

// listen returns the socket that was handed over under the name, or binds one.
// Key is that of the configuration, for the error.
func (s sockets) listen(name, key string, address config.Address) (net.Listener, error) {
	if l, ok := s[name]; ok {
		delete(s, name)
		return l, nil
	}
	l, err := net.Listen("tcp", string(address))
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "%s: %w%s", key, err, advice(err, string(address)))
	}
	return l, nil
}

// advice says what to do about an address that cannot be bound, where that is
// known.
func advice(err error, address string) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; " + holder(address) + ": stop it, wait for it (--wait-port 30s), take the port from it (--take-port), or choose another port"
	case errors.Is(err, syscall.EACCES):
		return "; ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it or choose a higher port"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; no interface of this machine has that address"
	}
	return ""
}

// holder names who holds a TCP address.
func holder(address string) string {
	holders, err := ports.Machine{}.Holders("tcp", address)
	if err != nil || len(holders) == 0 {
		return "another program has the port (ss -ltnp shows it)"
	}
	return "the port is held by " + ports.Names(holders)
}

// closeRest closes what was handed over and nobody uses.
func (s sockets) closeRest() {
	for _, l := range s {
		l.Close()
	}
}
