package proxied_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/proxied"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// header writes a header with the addresses and what the balancer adds to them.
func header(versionAndCommand, family byte, addresses, added []byte) []byte {
	b := append([]byte(signature), versionAndCommand, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addresses)+len(added)))
	return append(append(b, addresses...), added...)
}

// through is the header of a client that came to the balancer's port 8080.
func through(client netip.AddrPort, added ...byte) []byte {
	family, to := byte(0x11), netip.MustParseAddr("192.0.2.1")
	if client.Addr().Is6() {
		family, to = 0x21, netip.MustParseAddr("2001:db8::1")
	}
	b := append(client.Addr().AsSlice(), to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, client.Port())
	return header(0x21, family, binary.BigEndian.AppendUint16(b, 8080), added)
}

func TestHeader(t *testing.T) {
	added := append([]byte{0x04, 0x00, 0x03}, "abc"...) // padding, as the specification has it
	four, six := netip.MustParseAddrPort("198.51.100.7:40000"), netip.MustParseAddrPort("[2001:db8::7]:40000")
	for name, c := range map[string]struct {
		header []byte
		client netip.AddrPort
		wrong  string
	}{
		"IPv4":                   {header: through(four), client: four},
		"IPv6":                   {header: through(six), client: six},
		"IPv4 within IPv6":       {header: through(netip.MustParseAddrPort("[::ffff:198.51.100.7]:40000")), client: four},
		"with additions":         {header: through(four, added...), client: four},
		"a health check":         {header: header(0x20, 0, nil, nil)},
		"one that has addresses": {header: header(0x20, 0x11, make([]byte, 12), added)},
		"version 1":              {header: []byte("PROXY TCP4 198.51.100.7 192.0.2.1 40000 8080\r\n"), wrong: "send-proxy-v2 instead of send-proxy"},
		"version 1, unknown":     {header: []byte("PROXY UNKNOWN\r\n"), wrong: "version 1"},
		"none":                   {header: []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), wrong: "listen.proxy"},
		"none, and short":        {header: []byte("P"), wrong: "ended inside"},
		"version 3":              {header: header(0x31, 0x11, make([]byte, 12), nil), wrong: "version 3"},
		"another command":        {header: header(0x22, 0x11, make([]byte, 12), nil), wrong: "command 2"},
		"no family":              {header: header(0x21, 0, nil, nil), wrong: "family 0x00"},
		"datagrams":              {header: header(0x21, 0x12, make([]byte, 12), nil), wrong: "family 0x12"},
		"a unix socket":          {header: header(0x21, 0x31, make([]byte, 216), nil), wrong: "family 0x31"},
		"too few addresses":      {header: header(0x21, 0x21, make([]byte, 35), nil), wrong: "35 bytes"},
		"too much":               {header: header(0x21, 0x11, make([]byte, 12), make([]byte, 4<<10)), wrong: "4108 bytes"},
		"cut off":                {header: through(four)[:20], wrong: "ended inside"},
		"cut off in the middle":  {header: []byte(signature[:5]), wrong: "ended inside"},
	} {
		for _, way := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			r := bytes.NewReader(append(bytes.Clone(c.header), "rest"...))
			if c.wrong == "ended inside" {
				r = bytes.NewReader(c.header)
			}
			h, err := proxied.ReadHeader(way(r))
			if c.wrong != "" {
				if penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if rest, _ := io.ReadAll(r); err != nil || h.Client != c.client || string(rest) != "rest" {
				t.Errorf("%s: client %v, error %v; behind it %q", name, h.Client, err, rest)
			}
		}
	}
}

func TestHeaderTellsOtherErrorsAsTheyAre(t *testing.T) {
	broken := errors.New("broken")
	whole := through(netip.MustParseAddrPort("198.51.100.7:1"))
	for n := range whole {
		_, err := proxied.ReadHeader(io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// TestAnyHeader reads every header back, and leaves what stands behind it.
func TestAnyHeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address, _ := netip.AddrFromSlice(rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 4, 4), rapid.SliceOfN(rapid.Byte(), 16, 16)).Draw(t, "address"))
		client := netip.AddrPortFrom(address, rapid.Uint16().Draw(t, "port"))
		behind := rapid.SliceOf(rapid.Byte()).Draw(t, "behind")
		r := bytes.NewReader(append(through(client, rapid.SliceOfN(rapid.Byte(), 0, 4000).Draw(t, "added")...), behind...))
		h, err := proxied.ReadHeader(r)
		if rest, _ := io.ReadAll(r); err != nil || h.Client.Addr() != address.Unmap() || h.Client.Port() != client.Port() || !bytes.Equal(rest, behind) {
			t.Fatalf("%v, %v, %q", h, err, rest)
		}
	})
}

func FuzzReadHeader(f *testing.F) {
	f.Add(through(netip.MustParseAddrPort("198.51.100.7:40000")))
	f.Add(through(netip.MustParseAddrPort("[2001:db8::7]:40000"), 4, 0, 1, 0))
	f.Add(header(0x20, 0, nil, nil))
	f.Add([]byte("PROXY TCP4 198.51.100.7 192.0.2.1 40000 8080\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := proxied.ReadHeader(r)
		read := len(b) - r.Len()
		if err != nil && h.Client.IsValid() {
			t.Errorf("a client, %v, and an error: %v", h.Client, err)
		}
		if err == nil && (read < 16 || read != 16+int(binary.BigEndian.Uint16(b[14:]))) {
			t.Errorf("%d bytes were read of a header that is valid", read)
		}
		if !strings.HasPrefix(string(b), signature) && (err == nil || read > len(signature)) {
			t.Errorf("%d bytes were read of no header: %v", read, err)
		}
	})
}
