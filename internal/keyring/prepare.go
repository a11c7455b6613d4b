package keyring

import (
	"errors"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Prepare makes a key-encryption key in kekDir unless there is one, for a node
// that is given its key and cannot make it itself. A nil rand is the system's.
func Prepare(vs vfs.FS, kekDir string, rand io.Reader) error {
	o := opener{fs: vs, kekDir: kekDir, rand: randOr(rand)}
	_, err := o.readKEK()
	if errors.Is(err, fs.ErrNotExist) {
		_, err = o.makeKEK()
	}
	return err
}
