package proxied

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"

	"github.com/penstock/penstock"
)

// Header is what a balancer says of a connection.
type Header struct {
	// Client is who connected to the balancer; not valid for a connection that the
	// balancer made for itself, such as a health check.
	Client netip.AddrPort
}

// The parts of the header: the signature, a byte with version and command, one with
// the family of the addresses, and the length of what follows.
const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixedSize = 4

	version2     = 2
	commandLocal = 0
	commandProxy = 1
	tcp4         = 0x11
	tcp6         = 0x21

	tcp4Size = 4 + 4 + 2 + 2
	tcp6Size = 16 + 16 + 2 + 2
	// maxRest bounds the addresses and what a balancer adds to them, which is
	// skipped. What they add in practice is a few hundred bytes.
	maxRest = 4 << 10

	oldSignature = "PROXY "
)

// errNothing is the error of a connection that ends before its first byte, as the
// simplest health checks do.
var errNothing = errors.New("the connection ended without a byte")

// ReadHeader reads the header, and not a byte beyond. An error of code
// [penstock.Invalid] says what the balancer should do; others are those of r.
func ReadHeader(r io.Reader) (Header, error) {
	if err := readSignature(r); err != nil {
		return Header{}, err
	}
	var fixed [fixedSize]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return Header{}, cutOff(err)
	}
	if v := fixed[0] >> 4; v != version2 {
		return Header{}, penstock.Errorf(penstock.Invalid, "the PROXY header has version %d: write send-proxy-v2 at the balancer", v)
	}
	size := int(binary.BigEndian.Uint16(fixed[2:]))
	if size > maxRest {
		return Header{}, penstock.Errorf(penstock.Invalid, "the PROXY header says that %d bytes follow, more than %d: have the balancer add less to it", size, maxRest)
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return Header{}, cutOff(err)
	}
	switch command := fixed[0] & 0x0f; command {
	case commandLocal: // the addresses, if there are any, mean nothing
		return Header{}, nil
	case commandProxy:
		client, err := clientOf(fixed[1], rest)
		return Header{Client: client}, err
	default:
		return Header{}, penstock.Errorf(penstock.Invalid, "the PROXY header has the command %d, which nobody has defined", command)
	}
}

// readSignature reads the signature. What is none is known by its first bytes: who
// sends fewer than the signature has would wait for an answer.
func readSignature(r io.Reader) error {
	var b [len(signature)]byte
	for n := 0; n < len(b); {
		more, err := io.ReadAtLeast(r, b[n:], 1)
		if err != nil && n == 0 && errors.Is(err, io.EOF) {
			return errNothing
		}
		if err != nil {
			return cutOff(err)
		}
		n += more
		got := string(b[:n])
		switch {
		case strings.HasPrefix(signature, got), strings.HasPrefix(oldSignature, got) && got != oldSignature:
		case strings.HasPrefix(got, oldSignature):
			return penstock.Errorf(penstock.Invalid, "the PROXY header has version 1, which is not read: write send-proxy-v2 instead of send-proxy at the balancer")
		default:
			return penstock.Errorf(penstock.Invalid,
				"it begins with %q and not with a PROXY header: write send-proxy-v2 at the balancer, or take its address out of listen.proxy", got)
		}
	}
	return nil
}

// cutOff is the error of a header that ends too soon.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return penstock.Errorf(penstock.Invalid, "the connection ended inside the PROXY header")
	}
	return err
}

// clientOf returns the first of the two addresses.
func clientOf(family byte, rest []byte) (netip.AddrPort, error) {
	var size, width int
	switch family {
	case tcp4:
		size, width = tcp4Size, 4
	case tcp6:
		size, width = tcp6Size, 16
	default:
		return netip.AddrPort{}, penstock.Errorf(penstock.Invalid,
			"the PROXY header has the address family 0x%02x: only clients that came by TCP over IPv4 or IPv6 have an address to know them by", family)
	}
	if len(rest) < size {
		return netip.AddrPort{}, penstock.Errorf(penstock.Invalid, "the PROXY header has %d bytes for addresses that need %d", len(rest), size)
	}
	address, _ := netip.AddrFromSlice(rest[:width])
	return netip.AddrPortFrom(address.Unmap(), binary.BigEndian.Uint16(rest[2*width:])), nil
}
