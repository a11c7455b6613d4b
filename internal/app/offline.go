package app

import (
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool"
)

// InspectSpool reads the whole spool below a data directory, calls visit with
// every frame in order, and returns what it found. It writes nothing. keys is the
// directory of the key-encryption key, empty when it is in the data directory.
func InspectSpool(data, keys string, visit func(spool.FrameInfo) error) (*spool.Report, error) {
	fs, own := vfs.Default, filepath.Join(data, "keys")
	if keys == "" {
		keys = own
	}
	ring, err := keyring.Load(fs, own, keys)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return spool.Inspect(fs, filepath.Join(data, "spool"), ring, visit)
}

// Lost tells which entries a damaged record stands for: what their digests say,
// or else their positions.
func Lost(r spool.Record) []string {
	if len(r.Digests) == 0 {
		return []string{fmt.Sprintf("positions %d to %d, of which nothing is known", r.First, r.Last)}
	}
	lost := make([]string, len(r.Digests))
	for i, digest := range r.Digests {
		lost[i] = fmt.Sprintf("position %d", uint64(r.First)+uint64(i))
		if entry, err := ledger.DecodeEntry(digest); err == nil {
			lost[i] += fmt.Sprintf(": %s %s", entry.Controller, entry.Identity)
		}
	}
	return lost
}
