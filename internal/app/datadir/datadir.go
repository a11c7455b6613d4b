// Package datadir is a node's data directory: the lock that keeps a second process
// out, and the file that tells other programs where the gateway listens.
package datadir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/backup"
)

// Directory is a node's data directory. It belongs to one process at a time.
//
//	DIR/keys            the key-encryption key and the keyring
//	DIR/spool           the durable log
//	DIR/store           the historian and the fleet
//	DIR/tls             the node's own certificate and key
//	DIR/admin.token     the first admin token, 0600
//	DIR/run             what is true while the node runs: addresses.json
type Directory struct {
	path string
	lock *os.File
}

// Open makes the directory with mode 0750 if it is not there, and locks
// it. The error of a directory in use names the process and has code
// [penstock.Conflict].
func Open(path string) (*Directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the data directory cannot be made: %w", err)
	}
	if _, err := os.Stat(filepath.Join(path, backup.MarkName)); err == nil {
		return nil, penstock.Errorf(penstock.Invalid, "a restore into %s is under way or was cut off: run 'penstock restore' again, or move the directory away", path)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the data directory cannot be written: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name()) // best effort: the pid only makes the message better
		lock.Close()
		return nil, penstock.Errorf(penstock.Conflict, "the data directory %s is in use by the process %s; stop that one or name another directory",
			path, strings.TrimSpace(string(holder)))
	}
	d := &Directory{path: path, lock: lock}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid())+"\n"), os.MkdirAll(d.File("run"), 0o750)); err != nil {
		d.Close()
		return nil, penstock.Errorf(penstock.Invalid, "the data directory cannot be written: %w", err)
	}
	return d, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// Path returns the absolute path of the directory.
func (d *Directory) Path() string { return d.path }

// File returns the path of what stands under name in the directory.
func (d *Directory) File(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// writeAddresses tells other programs where the node listens, under the names
// of the configuration keys.
func (d *Directory) writeAddresses(addresses map[string]string) error {
	text, err := json.MarshalIndent(addresses, "", "  ")
	if err != nil {
		return err
	}
	return ReplaceFile(d.File("run", "addresses.json"), append(text, '\n'), 0o640)
}

// ReplaceFile writes a file so that a reader sees the old content or the new.
func ReplaceFile(path string, content []byte, mode os.FileMode) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, mode); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(temporary, path)
}

// KeepFile is [ReplaceFile] for what must be there after a power failure too.
func KeepFile(path string, content []byte, mode os.FileMode) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}

// Close gives the directory up. What is true only while the node runs goes.
func (d *Directory) Close() {
	os.Remove(d.File("run", "addresses.json"))
	d.lock.Close()
}

// lockEvery is how often a directory that another process has is tried.
const lockEvery = 5 * time.Millisecond

// Await opens the data directory. When another process has it, it waits
// up to patience for that one to end, and says so before.
func Await(ctx context.Context, path string, patience time.Duration, waiting func()) (*Directory, error) {
	d, err := Open(path)
	if patience <= 0 || penstock.CodeOf(err) != penstock.Conflict {
		return d, err
	}
	waiting()
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(lockEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end.C:
			return nil, penstock.Errorf(penstock.Conflict, "it was waited for %s: %w", patience, err)
		case <-again.C:
		}
		if d, err = Open(path); penstock.CodeOf(err) != penstock.Conflict {
			return d, err
		}
	}
}
