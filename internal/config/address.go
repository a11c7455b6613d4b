package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// Address is where a listener stands: "host:port", ":port" for all interfaces,
// "[::1]:port", with port 0 for any free one; or "off". The zero Address is off.
type Address string

// AddressOff is the address of a listener that is not wanted.
const AddressOff Address = "off"

// Off tells whether the listener is not wanted.
func (a Address) Off() bool { return a == "" || a == AddressOff }

// Host returns the part before the port, without brackets; empty for all
// interfaces or when the address is off.
func (a Address) Host() string {
	if a.Off() {
		return ""
	}
	host, _, _ := net.SplitHostPort(string(a))
	return host
}

// Port returns the port, 0 for any free one or when the address is off.
func (a Address) Port() uint16 {
	if a.Off() {
		return 0
	}
	_, text, _ := net.SplitHostPort(string(a))
	port, _ := strconv.ParseUint(text, 10, 16)
	return uint16(port)
}

// Loopback tells whether the address can be reached from this machine only.
func (a Address) Loopback() bool {
	host := a.Host()
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// String returns the address as it was written, "off" for the zero value.
func (a Address) String() string {
	if a.Off() {
		return string(AddressOff)
	}
	return string(a)
}

// UnmarshalText reads an address.
func (a *Address) UnmarshalText(text []byte) error {
	written := strings.TrimSpace(string(text))
	if written == string(AddressOff) {
		*a = AddressOff
		return nil
	}
	host, port, err := net.SplitHostPort(written)
	if err != nil || strings.ContainsAny(host, " /") {
		return fmt.Errorf("%q is not an address: write host:port, :port for all interfaces, or off", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no valid port: write a number from 0 (any free one) to 65535", text)
	}
	*a = Address(written)
	return nil
}

// MarshalText returns what String returns; UnmarshalText reads it back.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// JSONSchema describes the type to editors.
func (Address) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:     "string",
		Pattern:  `^(off|.*:[0-9]{1,5})$`,
		Examples: []any{"127.0.0.1:8080", ":8080", "off"},
	}
}
