package backup

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

const purpose = "backup file"

// MaxSealed is the largest file that a backup seals, in bytes.
const MaxSealed = 64 << 20

// seal returns the content of a file sealed, bound to its name: the header of a
// stream, and the content as its only message.
func seal(keys *keyring.Keyring, name string, content []byte) ([]byte, error) {
	stream, err := keys.NewStream(purpose)
	if err != nil {
		return nil, err
	}
	return stream.Seal(stream.Header(), 1, content, []byte(name)), nil
}

// open returns the content of a sealed file.
func open(keys *keyring.Keyring, name string, sealed []byte) ([]byte, error) {
	stream, rest, err := keys.OpenStream(purpose, sealed)
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "%s: %w", name, err)
	}
	content, err := stream.Open(nil, 1, rest, []byte(name))
	if err != nil {
		return nil, penstock.Errorf(penstock.Corrupt, "%s: %w", name, err)
	}
	return content, nil
}
