package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock"
)

// The limits of a destination on the network or behind a socket.
const (
	writeTimeout = time.Second
	redialAfter  = time.Second
	facility     = 3 // daemon
)

// socket is a connection that is made again when it failed.
type socket struct {
	network, address string
	now              func() time.Time
	conn             net.Conn
	failed           time.Time // when it could not be made or written to
	err              error
}

func (s *socket) write(message []byte) error {
	if s.conn == nil {
		if s.err != nil && s.now().Sub(s.failed) < redialAfter {
			return s.err
		}
		conn, err := net.DialTimeout(s.network, s.address, writeTimeout)
		if err != nil {
			return s.fail(err)
		}
		s.conn, s.err = conn, nil
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return s.fail(err)
	}
	if _, err := s.conn.Write(message); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *socket) fail(err error) error {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	s.failed, s.err = s.now(), fmt.Errorf("log to %s: %w", s.address, err)
	return s.err
}

// Close implements [Destination].
func (s *socket) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}

// Syslog sends RFC 5424: in datagrams over UDP and unix sockets, and with their
// length before them over TCP (RFC 6587).
type Syslog struct {
	socket
	host string
}

// NewSyslog returns a destination at udp:host:port, tcp:host:port or unix:/path.
// An error has code [penstock.Invalid].
func NewSyslog(address string, now func() time.Time) (*Syslog, error) {
	network, at, ok := strings.Cut(address, ":")
	if network == "unix" {
		network = "unixgram"
	}
	if !ok || network != "udp" && network != "tcp" && network != "unixgram" || at == "" {
		return nil, penstock.Errorf(penstock.Invalid, "%q is no address of syslog: write udp:host:port, tcp:host:port or unix:/dev/log", address)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	return &Syslog{socket{network: network, address: at, now: now}, host}, nil
}

// Write implements [Destination].
func (s *Syslog) Write(l *Line) error {
	message := fmt.Appendf(nil, "<%d>1 %s %s %s %d - - %s", facility*8+int(l.Severity),
		l.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), s.host, l.Name(), l.PID, l.Text)
	if s.network == "tcp" {
		message = append(append(strconv.AppendInt(nil, int64(len(message)), 10), ' '), message...)
	}
	return s.write(message)
}

// Journal writes to the journal of systemd, by its own protocol.
type Journal struct{ socket }

// JournalSocket is where the journal listens.
const JournalSocket = "/run/systemd/journal/socket"

// NewJournal returns a destination at the socket of the journal.
func NewJournal(path string, now func() time.Time) *Journal {
	return &Journal{socket{network: "unixgram", address: path, now: now}}
}

// Write implements [Destination].
func (j *Journal) Write(l *Line) error {
	var b []byte
	for _, field := range [][2]string{
		{"PRIORITY", strconv.Itoa(int(l.Severity))}, {"SYSLOG_IDENTIFIER", l.Program}, {"SYSLOG_PID", strconv.Itoa(l.PID)},
		{"SYSLOG_FACILITY", strconv.Itoa(facility)}, {"SUPERVISE_INSTANCE", strconv.Itoa(l.Instance)}, {"MESSAGE", l.Text},
	} {
		// The form with a length holds any text.
		b = append(append(b, field[0]...), '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(field[1])))
		b = append(append(b, field[1]...), '\n')
	}
	return j.write(b)
}
