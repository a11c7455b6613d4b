// Package supervise is a process manager for machines without one: it runs
// programs by the protocol of systemd (LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_USEC),
// so that whatever runs under the one runs under the other. It keeps their
// sockets open while they are replaced, starts them again when they fail, and
// gives up what fails too often. It knows nothing of what it runs.
package supervise
