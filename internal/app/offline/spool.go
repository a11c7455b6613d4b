package offline

import (
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock/internal/ledger"
	"github.com/penstock/penstock/internal/spool/inspect"
)

// InspectSpool reads the whole spool below a data directory, calls visit with
// every frame in order, and returns what it found. It writes nothing. keys is the
// directory of the key-encryption key, empty when it is in the data directory.
func InspectSpool(data, keys string, visit func(inspect.Frame) error) (*inspect.Report, error) {
	ring, err := SpoolAt{data, keys}.keyring(vfs.Default)
	if err != nil {
		return nil, err
	}
	return inspect.Inspect(vfs.Default, filepath.Join(data, "spool"), ring, visit)
}

// Lost tells which entries a damaged part of the spool held: what their digests
// say, or else their positions.
func Lost(d inspect.Damage) []string {
	var lost []string
	for p := d.Lost; p < d.End; p++ {
		text := fmt.Sprintf("position %d", p)
		if at := p - d.Digests.First; p >= d.Digests.First && int(at) < len(d.Digests.Each) {
			if entry, err := ledger.DecodeEntry(d.Digests.Each[at]); err == nil {
				text += fmt.Sprintf(": %s %s", entry.Controller, entry.Identity)
			}
		}
		lost = append(lost, text)
	}
	return lost
}
