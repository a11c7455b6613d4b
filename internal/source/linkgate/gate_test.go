package linkgate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/sim/simlink"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/link/seal"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// books have no marks: what is settled stands in the acks' ranges.
type books struct{}

func (books) Marks(string, uint64) source.Marks { return source.Marks{} }

// address notes where a source is bound, so that it comes back there.
type address struct {
	mu    sync.Mutex
	bound string
}

func (a *address) note(_, bound string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bound = bound
}

func (a *address) get() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bound == "" {
		return "127.0.0.1:0"
	}
	return a.bound
}

// peer sends through the transport of the simulated fleet.
type peer struct{ *simlink.Link }

func (p peer) Send(ctx context.Context, r *penstock.Report) error {
	for {
		a, err := p.Link.Send(ctx, sim.Message{Report: r})
		switch {
		case err == nil && a.Result == penstock.Rejected:
			return sourcetest.ErrRefused
		case err == nil:
			return nil
		case penstock.CodeOf(err).Temporary():
			return sourcetest.ErrLater
		case ctx.Err() != nil || !errors.Is(err, sim.ErrUnknown):
			return err
		}
	}
}

func newPeer(t *testing.T, o simlink.Options) sourcetest.Peer {
	t.Helper()
	o.Controllers, o.Name = 1, func(int) string { return "pump-17" }
	l, err := simlink.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return peer{l}
}

func TestTCP(t *testing.T) {
	authority := testkit.NewAuthority(t)
	server := &tls.Config{Certificates: []tls.Certificate{authority.Server(t, "127.0.0.1")}, MinVersion: tls.VersionTLS13}
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		var at address
		return sourcetest.Subject{
			New: func(t *testing.T, env source.Env) penstock.Source {
				env.TLS, env.Marks, env.Bound = server, books{}, at.note
				s, err := linkgate.NewTCP(config.Address(at.get()), linkgate.Default(), env)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Peer: func(t *testing.T) sourcetest.Peer {
				return newPeer(t, simlink.Options{Address: at.get(), Token: "a token", Roots: authority.Pool()})
			},
			Garble: func(t *testing.T) {
				c, err := tls.Dial("tcp", at.get(), &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS13})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// keyring holds one key.
type keyring struct {
	key     carrier.Key
	revoked atomic.Bool
}

func (k *keyring) revoke() { k.revoked.Store(true) }

func newKeyring(t *testing.T) *keyring {
	key, err := carrier.ParseKey("0123456789abcdef:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	if err != nil {
		t.Fatal(err)
	}
	return &keyring{key: key}
}

func (k *keyring) Key(id uint64) ([]byte, *penstock.Principal, error) {
	if id != 0x0123456789abcdef || k.revoked.Load() {
		return nil, nil, penstock.Errorf(penstock.Unauthenticated, "no such key")
	}
	return k.key.Secret, &penstock.Principal{Credential: "key", Role: penstock.RoleController, Scope: penstock.Scope{"pump-*"}}, nil
}

func TestUDP(t *testing.T) {
	ring := newKeyring(t)
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		var at address
		return sourcetest.Subject{
			New: func(t *testing.T, env source.Env) penstock.Source {
				env.Keys, env.Marks, env.Bound = ring, books{}, at.note
				s, err := linkgate.NewUDP(config.Address(at.get()), linkgate.Default(), env)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Peer: func(t *testing.T) sourcetest.Peer {
				return newPeer(t, simlink.Options{Address: at.get(), Key: &ring.key})
			},
			Garble: func(t *testing.T) {
				c, err := net.Dial("udp", at.get())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				forged := append([]byte{0x81, 0}, ring.key.ID[:]...)
				forged = append(forged, make([]byte, seal.Overhead)...)
				for _, b := range [][]byte{[]byte("hello?"), forged} {
					if _, err := c.Write(b); err != nil {
						t.Fatal(err)
					}
				}
			},
		}
	})
}
