package carrier

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/seal"
)

// Carrier moves frames. One goroutine may send while another receives.
type Carrier interface {
	// Send takes whole frames, one after another. An error says that the carrier is
	// of no more use.
	Send(frames []byte) error
	// Receive returns the next frame from the gateway; its payload is good until the
	// next call. An error says that the carrier is of no more use.
	Receive() (link.Frame, error)
	// Close ends Send and Receive. It is legal twice.
	Close() error
}

// sendTime is how long a gateway may take no bytes.
const sendTime = 30 * time.Second

// stream is a TLS connection.
type stream struct {
	conn    net.Conn
	scanner *link.Scanner
}

// DialTLS connects to a gateway's listen.link. The configuration says whom to
// trust; a certificate in it shows who the controller is. At least TLS 1.3 is
// spoken.
func DialTLS(ctx context.Context, address string, config *tls.Config) (Carrier, error) {
	config = config.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "connect to %s: %w", address, err)
	}
	return &stream{conn, link.NewScanner(conn, link.MaxPayload)}, nil
}

// Send implements [Carrier].
func (s *stream) Send(frames []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	_, err := s.conn.Write(frames)
	return err
}

// Receive implements [Carrier].
func (s *stream) Receive() (link.Frame, error) { return s.scanner.Next() }

// Close implements [Carrier].
func (s *stream) Close() error { return s.conn.Close() }

// Key is a link key as the gateway printed it.
type Key struct {
	ID     seal.KeyID
	Secret []byte // 32 bytes
}

// ParseKey reads a key as `penstock controllers add --key` prints it. The error
// has code [penstock.Invalid] and does not repeat what was given.
func ParseKey(text string) (Key, error) {
	id, secret, ok := strings.Cut(strings.TrimSpace(text), ":")
	var k Key
	if n, err := hex.Decode(k.ID[:], []byte(id[:min(len(id), 16)])); !ok || err != nil || n != len(k.ID) || len(id) != 16 {
		return Key{}, errKey()
	}
	var err error
	if k.Secret, err = hex.DecodeString(secret); err != nil || len(k.Secret) != seal.SecretSize {
		return Key{}, errKey()
	}
	return k, nil
}

func errKey() error {
	return penstock.Errorf(penstock.Invalid, "a link key is 16 and 64 hexadecimal digits with a colon between, as 'penstock controllers add NAME --key' prints it")
}

// datagrams is a UDP socket with the seal of one start of the controller.
type datagrams struct {
	conn net.Conn
	buf  []byte // what was read
	rest []byte // frames that were not returned yet
	open []byte

	mu     sync.Mutex // guards the next two
	seal   *seal.Controller
	sealed []byte
	most   int // bytes of a datagram
}

// DialUDP makes a socket for a gateway's listen.link_udp. Boot must be greater than
// at any start before: see [seal.NewController]. Most is the size of the largest
// datagram, 0 for [seal.MaxDatagram].
func DialUDP(ctx context.Context, address string, key Key, boot uint64, most int) (Carrier, error) {
	k, err := seal.NewKey(key.ID, key.Secret)
	if err != nil {
		return nil, err
	}
	s, err := seal.NewController(k, boot)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", address)
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "connect to %s: %w", address, err)
	}
	if most == 0 {
		most = seal.MaxDatagram
	}
	return &datagrams{conn: conn, buf: make([]byte, 64<<10), seal: s, most: most}, nil
}

// LargestPayload returns the payload of the largest frame in a datagram of at most
// so many bytes.
func LargestPayload(datagram int) int { return datagram - seal.Overhead - link.FrameOverhead }

// Send implements [Carrier]: as many frames as fit go into each datagram. What the
// network does not take is lost, as it may lose anything.
func (d *datagrams) Send(frames []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(frames) > 0 {
		n := 0
		for n < len(frames) {
			size, err := link.FrameSize(frames[n:], link.MaxPayload)
			if err != nil {
				return err
			}
			if n > 0 && n+size > d.most-seal.Overhead {
				break
			}
			n += size
		}
		d.sealed = d.seal.Seal(d.sealed[:0], frames[:n])
		if _, err := d.conn.Write(d.sealed); isClosed(err) {
			return err
		}
		frames = frames[n:]
	}
	return nil
}

// Receive implements [Carrier]: what does not open, or is no frame, is dropped.
func (d *datagrams) Receive() (link.Frame, error) {
	for {
		if len(d.rest) > 0 {
			f, size, err := link.NextFrame(d.rest, link.MaxPayload)
			if err == nil && size > 0 {
				d.rest = d.rest[size:]
				return f, nil
			}
			d.rest = nil
		}
		n, err := d.conn.Read(d.buf)
		if isClosed(err) {
			return link.Frame{}, err
		}
		if err != nil {
			continue // nobody listens there for now
		}
		d.mu.Lock()
		d.open, err = d.seal.Open(d.open[:0], d.buf[:n])
		d.mu.Unlock()
		if err == nil {
			d.rest = d.open
		}
	}
}

// Close implements [Carrier].
func (d *datagrams) Close() error { return d.conn.Close() }

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
