package fleet

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/penstock/penstock"
)

// The first byte of a key says what the record is, eight bytes of a number follow.
const (
	credentialKey = 'c' // the credential's public id
	pageKey       = 'p' // the page's number
	sheetKey      = 's' // a running number
	keySize       = 9
)

// A record is a version byte, a byte of feature bits that a reader must know,
// and JSON.
const (
	recordVersion = 1

	featureKey     = 1 << 0 // a credential that is a key
	featurePlace   = 1 << 1 // a page on which a controller has a place
	recordFeatures = featureKey | featurePlace
)

func tableKey(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, n)
}

func keyNumber(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }

func encodeRecord(v any, features byte) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, penstock.Errorf(penstock.Internal, "fleet: a record cannot be written: %w", err)
	}
	return append([]byte{recordVersion, features}, body...), nil
}

func decodeRecord(b []byte, into any) error {
	if len(b) < 2 {
		return penstock.Errorf(penstock.Corrupt, "fleet: a record of %d bytes is cut short", len(b))
	}
	if b[0] != recordVersion || b[1]&^recordFeatures != 0 {
		return penstock.Errorf(penstock.Unsupported,
			"fleet: a record of version %d, features %#x: this version reads version %d, features %#x: use the version that wrote it",
			b[0], b[1], recordVersion, recordFeatures)
	}
	d := json.NewDecoder(bytes.NewReader(b[2:]))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return penstock.Errorf(penstock.Corrupt, "fleet: a record cannot be read: %w", err)
	}
	return nil
}
