package mqtt

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// beforeTheFirst is the number before that of the first session, which is 0.
const beforeTheFirst = 255

// count is the file with the number of an edge node's last session. Without it a
// restart could give a session the number of the one before, whose death the broker may
// publish later: then applications would take it for that of the new one.
type count struct{ path string }

func countOf(env sink.Env) count {
	return count{filepath.Join(env.Files, "mqtt", url.PathEscape(env.Name)+".bdseq")}
}

// last returns the number of the last session; without a file that before the first.
func (c count) last() (uint8, error) {
	text, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return beforeTheFirst, nil
	}
	if err != nil {
		return beforeTheFirst, penstock.Errorf(penstock.Unavailable, "the number of the last session: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 8)
	if err != nil {
		return beforeTheFirst, penstock.Errorf(penstock.Invalid, "the number of the last session: %s: %w", c.path, err)
	}
	return uint8(n), nil
}

// keep notes the number of the session that begins, durably. The file has the same length
// for every number, and is written in place: the old number stands there, or the new one.
func (c count) keep(n uint8) error {
	_, err := os.Stat(c.path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(filepath.Dir(c.path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%3d\n", n)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil || !fresh {
		return err
	}
	d, err := os.Open(filepath.Dir(c.path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
