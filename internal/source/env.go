package source

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// Env is what the node lends a source.
type Env struct {
	Name     string // of the source, as configured; it goes into every envelope
	Evidence *evidence.Book
	Auth     Authenticator
	Status   Status
	// Listen binds a TCP address, or takes the listener that a process manager
	// handed over under the name.
	Listen func(name, address string) (net.Listener, error)
	// ListenPacket is Listen for datagrams.
	ListenPacket func(name, address string) (net.PacketConn, error)
	// Lets tells whether a datagram from the address may come in; nil lets all.
	// Whom Listen gave a connection to was asked before.
	Lets func(netip.Addr) bool
	// Bound says to what address the listener of a key of the configuration,
	// "listen.mqtt", is really bound.
	Bound func(key, address string)
	Keys  Keys  // of controllers that seal what they send
	Marks Books // how far the reports are
	// Newcomers are asked before a session tells a controller its marks; nil where the
	// record stands on this node's disk, which knows them all.
	Newcomers Newcomers
	// SameDisk says that spool and record stand on one disk: both marks would be
	// lost with it.
	SameDisk bool
	TLS      *tls.Config // of the node's listeners: TLS 1.3, its certificate, its clients' authorities
	Log      *slog.Logger
	Now      func() time.Time
	Rand     io.Reader
	// Memory outlives a failure of the source: what one puts there, the next one
	// made from the same configuration finds. See [Remembered].
	Memory *any
	// Retain keeps what the source says, in place of what it said before, for the next
	// one when the process that it runs in dies; nil where that is the gateway's own,
	// whose death ends everything. When it returns the state is safe from that. It may be
	// called often.
	Retain func(state []byte)
	// Recall is what a source whose process died had retained last, nil for nothing. A
	// state that is recalled twice without being retained anew in between is forgotten.
	Recall []byte
	// Files is the directory for what sources keep on disk beside the reports, a
	// folder a protocol. It may not exist yet.
	Files string
}

// Remembered returns what the source before this one left, or else what make
// gives, and leaves it for the next one.
func Remembered[T any](env Env, make func() (T, error)) (T, error) {
	if env.Memory == nil {
		return make()
	}
	if kept, ok := (*env.Memory).(T); ok {
		return kept, nil
	}
	made, err := make()
	if err == nil {
		*env.Memory = made
	}
	return made, err
}

// Authenticator tells who shows a credential. A source with sessions asks when
// one begins, and still puts the credential into every envelope, so that a
// revocation holds at once.
type Authenticator interface {
	// Authenticate returns an error of code [penstock.Unauthenticated] for a
	// credential that does not hold.
	Authenticate(penstock.Credential) (*penstock.Principal, error)
}

// Keys finds the keys that were given to controllers.
type Keys interface {
	// Key returns the secret of the key with this number, of 32 bytes, and who holds
	// it, or an error of code [penstock.Unauthenticated]. Neither may be changed. A
	// source that took something sealed under a key asks again for each piece, so
	// that a revocation holds at once.
	Key(id uint64) (secret []byte, p *penstock.Principal, err error)
}

// Books tell how far the reports of a controller are.
type Books interface {
	// Marks returns the marks of an epoch, zero for one that is not known.
	Marks(controller string, epoch uint64) Marks
}

// Marks are what a source with sessions tells its controllers.
type Marks struct {
	Accepted  uint64 // this node holds, or has settled, every report of the epoch up to here
	Committed uint64 // the record has settled every report of the epoch up to here
	LastEpoch uint64 // the highest that is known of the controller, 0 for none
}

// Newcomers see that the record was asked about a controller which came to another
// node before.
type Newcomers interface {
	// Meet returns nil when the marks of an epoch of the controller may be told, 0 for
	// that of its last. An error of code [penstock.Unavailable] says that it has to come
	// again: the record is being asked. It never waits.
	Meet(controller string, epoch uint64) error
	// Await is Meet for who can wait: it returns when the record has answered, or when
	// that takes too long.
	Await(ctx context.Context, controller string, epoch uint64) error
}

// Status is told whether a source does its work.
type Status interface {
	OK()
	Failing(why string)
}

// Own returns the principal of a source that speaks for controllers which its
// configuration names: there is nobody to show a credential on a line that the
// node polls.
func Own(name string, controllers []string) *penstock.Principal {
	return &penstock.Principal{Credential: "source:" + name, Role: penstock.RoleController, Scope: controllers}
}

// LetsIn tells whether a datagram from there may come in.
func (e Env) LetsIn(from net.Addr) bool {
	at, ok := from.(*net.UDPAddr)
	return e.Lets == nil || ok && e.Lets(at.AddrPort().Addr())
}
