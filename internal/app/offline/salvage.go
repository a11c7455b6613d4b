package offline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/spool/inspect"
	"github.com/penstock/penstock/internal/spool/repair"
)

// SpoolAt says where a spool and its keys are.
type SpoolAt struct {
	Data string // data directory
	Keys string // directory of the key-encryption key; empty when it is in the data directory
}

func (at SpoolAt) keyring(fs vfs.FS) (*keyring.Keyring, error) {
	own := filepath.Join(at.Data, "keys")
	dir := at.Keys
	if dir == "" {
		dir = own
	}
	ring, err := keyring.Load(fs, own, dir)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return ring, nil
}

// PlanRepair finds out what a repair of a spool has to do. What is moved out of it goes
// to a directory of its own beside it.
func PlanRepair(at SpoolAt, now func() time.Time) (*repair.Plan, error) {
	ring, err := at.keyring(vfs.Default)
	if err != nil {
		return nil, err
	}
	return repair.Look(repair.Options{
		FS: vfs.Default, Dir: filepath.Join(at.Data, "spool"), Keyring: ring, Now: now,
		Beside: filepath.Join(at.Data, "spool.repaired-"+now().UTC().Format("20060102T150405Z")),
	})
}

// Alone calls work while no gateway can run on the data directory.
func Alone(data string, work func() error) error {
	lock, err := os.OpenFile(filepath.Join(data, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "the data directory cannot be locked: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return penstock.Errorf(penstock.Conflict, "a gateway runs on %s: stop it first", data)
	}
	return work()
}

// Exported is what came of an export.
type Exported struct {
	Reports  int      `json:"reports"`
	Held     int      `json:"held"`   // of them, that a step sent to quarantine
	Last     uint64   `json:"last"`   // position of the last one; 0 for none
	Unsaid   []string `json:"unsaid"` // reports that JSON cannot say
	Lost     []string `json:"lost"`   // entries that cannot be read
	LostMore uint64   `json:"lost_more"`
	Notes    []string `json:"notes"` // what else is not as it was written
}

// maxLost is how many lost entries are named.
const maxLost = 1000

// Export writes the reports of a spool, whole or damaged, from a position to another,
// as NDJSON. It changes nothing, and what a disk cannot read is left out.
func Export(at SpoolAt, from, to penstock.Position, w io.Writer) (Exported, error) {
	out := Exported{Unsaid: []string{}, Lost: []string{}, Notes: []string{}}
	fs := repair.NewForgiving(vfs.Default)
	ring, err := at.keyring(vfs.Default)
	if err != nil {
		return out, err
	}
	var decoder intake.Decoder
	var line []byte
	found, err := inspect.Inspect(fs, filepath.Join(at.Data, "spool"), ring, func(f inspect.Frame) error {
		for i, e := range f.Kept {
			p := f.First + penstock.Position(i)
			if p < from || p > to {
				continue
			}
			_, r, err := decoder.Decode(e.Data)
			if err != nil || r == nil {
				out.lose(err, p)
				continue
			}
			if line, err = reportjson.AppendReport(line[:0], r); err != nil {
				out.Unsaid = append(out.Unsaid, fmt.Sprintf("%s %s: %v", r.Controller, r.Identity, err))
				continue
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
			out.Reports++
			out.Last = uint64(p)
			if intake.Quarantine(e.Data) != "" {
				out.Held++
			}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	out.Notes = append(out.Notes, found.Notes...)
	for _, d := range found.Damage {
		known := d
		known.End = min(d.End, d.Lost+penstock.Position(maxLost-min(len(out.Lost), maxLost)))
		out.Lost = append(out.Lost, Lost(known)...)
		out.LostMore += uint64(d.End - known.End)
	}
	return out, nil
}

// lose notes an entry that cannot be understood; nil is a decision, which is none.
func (x *Exported) lose(err error, p penstock.Position) {
	if err == nil {
		return
	}
	if len(x.Lost) == maxLost {
		x.LostMore++
		return
	}
	x.Lost = append(x.Lost, errors.Join(fmt.Errorf("position %d", p), err).Error())
}
