package datadir

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/penstock/penstock/internal/source"
)

// Address is what a listener is really bound to.
type Address struct {
	Key     string // of the configuration: "listen.https"
	Address string // host:port
}

// Key returns the key under which the address of a source is known.
func Key(name string) string {
	if name == "mqtt" || name == "link" || name == "link_udp" {
		return "listen." + name
	}
	return "sources." + name
}

// Bound tells others, in a file, where the gateway listens.
type Bound struct {
	dir *Directory
	log *slog.Logger

	mu        sync.Mutex // guards addresses
	addresses map[string]string
}

// NewBound returns a file of addresses that nobody has written to yet.
func NewBound(dir *Directory, log *slog.Logger) *Bound {
	return &Bound{dir: dir, log: log, addresses: map[string]string{}}
}

// Add is [Bound.Write] for a source, which goes on without the file.
func (b *Bound) Add(key, address string) {
	if err := b.Write(Address{key, address}); err != nil {
		b.log.Error("the file of addresses could not be written; clients on this machine need the address told", "key", key, "address", address, "error", err)
	}
}

// Keep forgets the addresses of sources that are not among the specs.
func (b *Bound) Keep(specs []source.Spec) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.addresses, func(key, _ string) bool {
		return key != "listen.https" && key != "listen.health" && !slices.ContainsFunc(specs, func(s source.Spec) bool {
			return key == Key(s.Name) || strings.HasPrefix(key, "sources."+s.Name+".")
		})
	})
	if err := b.dir.writeAddresses(b.addresses); err != nil {
		b.log.Error("the file of addresses could not be written; it tells of sources that have ended", "error", err)
	}
}

// Write takes in what was bound, and tells it.
func (b *Bound) Write(list ...Address) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range list {
		b.log.Info("listening", "key", a.Key, "address", a.Address)
		b.addresses[a.Key] = a.Address
	}
	return b.dir.writeAddresses(b.addresses)
}

// Of returns where a source listens.
func (b *Bound) Of(source string) (addresses []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := Key(source)
	for _, k := range slices.Sorted(maps.Keys(b.addresses)) {
		if k == key || strings.HasPrefix(k, key+".") {
			addresses = append(addresses, b.addresses[k])
		}
	}
	return addresses
}

// List returns every address there is: those given first, in their order.
func (b *Bound) List(first []Address) []Address {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(first)
	for _, k := range slices.Sorted(maps.Keys(b.addresses)) {
		if a := (Address{k, b.addresses[k]}); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}
