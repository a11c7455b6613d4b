package client

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"net/url"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/carrier"
)

// Policy says what a full outbox does.
type Policy uint8

// The policies.
const (
	// RefuseNew refuses new reports until there is room: nothing that was kept is
	// given up.
	RefuseNew Policy = iota
	// DropOldest gives up the oldest reports for new ones, counts them, and tells
	// the gateway which numbers will not come.
	DropOldest
)

// Options say who sends, where to, and where reports are kept meanwhile.
type Options struct {
	Controller string // name of the controller
	// Gateway is link://HOST:PORT for the link protocol over TLS (listen.link),
	// link+udp://HOST:PORT for sealed datagrams (listen.link_udp), or
	// https://HOST:PORT, which passes where nothing else does (listen.https).
	Gateway string
	Token   string      // shown over link:// and https://; may stay empty where TLS has a certificate
	Key     string      // for link+udp://, as `penstock controllers add NAME --key` prints it
	TLS     *tls.Config // whom to trust, and a client certificate if any; nil trusts the system's authorities

	Dir      string // directory of the outbox, made where it is not there; one client's alone
	MaxBytes int64  // of the outbox; 64 MiB when 0, at least 256 KiB
	WhenFull Policy

	// Refused is told of each report that the gateway refused for good. It must
	// return soon. Nil for nobody.
	Refused func(id penstock.Identity, reason penstock.Reason, text string)
	Log     *slog.Logger     // nil for none
	Now     func() time.Time // nil for time.Now
	Rand    io.Reader        // nil for crypto/rand
}

// The schemes of a gateway's URL.
const (
	schemeTLS   = "link"
	schemeUDP   = "link+udp"
	schemeHTTPS = "https"
)

const defaultBytes = 64 << 20

// check fills in what was left out and returns where the gateway is.
func (o *Options) check() (*url.URL, error) {
	if err := penstock.CheckControllerName(o.Controller); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.Gateway)
	if err != nil || u.Host == "" || u.Port() == "" && u.Scheme != schemeHTTPS {
		return nil, penstock.Errorf(penstock.Invalid, "the gateway %.60q is no URL such as link://gateway.example.org:5427", o.Gateway)
	}
	switch u.Scheme {
	case schemeTLS, schemeHTTPS:
	case schemeUDP:
		if _, err := carrier.ParseKey(o.Key); err != nil {
			return nil, err
		}
	default:
		return nil, penstock.Errorf(penstock.Invalid, "the gateway %.60q: %s is none of link, link+udp and https", o.Gateway, u.Scheme)
	}
	if o.Dir == "" {
		return nil, penstock.Errorf(penstock.Invalid, "a client needs a directory for its outbox")
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return u, nil
}

// newEpoch returns an epoch for a controller that has lost its sequence, or never
// had one: the milliseconds since 1970, and a random number where the clock was
// never set.
func (o *Options) newEpoch() (uint64, error) {
	const year2020, random = 1_577_836_800_000, 1 << 40
	if ms := o.Now().UnixMilli(); ms > year2020 {
		return uint64(ms), nil
	}
	n, err := o.random()
	return 1 + n%random, err
}

func (o *Options) random() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(o.Rand, b[:]); err != nil {
		return 0, penstock.Errorf(penstock.Internal, "no random bytes: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
