// Package row is the form of the rows in which a fleet is kept on disk.
package row

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/penstock/penstock"
)

// The first byte of a key says what the row is, eight bytes of a number follow.
const (
	Credential = 'c' // the credential's public id
	Page       = 'p' // the page's number
	Sheet      = 's' // a running number
	KeySize    = 9
)

// A record is a version byte, a byte of feature bits that a reader must know,
// and JSON.
const (
	version = 1

	FeatureKey   = 1 << 0 // a credential that is a key
	FeaturePlace = 1 << 1 // a page on which a controller has a place
	features     = FeatureKey | FeaturePlace
)

// Key returns the key of a row.
func Key(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, n)
}

// Number returns the number in a key.
func Number(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }

// Encode writes a row that has features.
func Encode(v any, has byte) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "fleet: a record cannot be written: %w", err)
	}
	return append([]byte{version, has}, body...), nil
}

// Decode reads a row. Its errors have the code [penstock.Corrupt], or
// [penstock.Unsupported] for a row of a newer version.
func Decode(b []byte, into any) error {
	if len(b) < 2 {
		return penstock.Errorf(penstock.Corrupt, "fleet: a record of %d bytes is cut short", len(b))
	}
	if b[0] != version || b[1]&^features != 0 {
		return penstock.Errorf(penstock.Unsupported,
			"fleet: a record of version %d, features %#x: this version reads version %d, features %#x: use the version that wrote it",
			b[0], b[1], version, features)
	}
	d := json.NewDecoder(bytes.NewReader(b[2:]))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return penstock.Errorf(penstock.Corrupt, "fleet: a record cannot be read: %w", err)
	}
	return nil
}
