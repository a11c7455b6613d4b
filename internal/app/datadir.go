package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/backup"
	"github.com/penstock/penstock/internal/source"
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

// openDirectory makes the directory with mode 0750 if it is not there, and locks
// it. The error of a directory in use names the process.
func openDirectory(path string) (*Directory, error) {
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
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid())+"\n"), os.MkdirAll(d.file("run"), 0o750)); err != nil {
		d.close()
		return nil, penstock.Errorf(penstock.Invalid, "the data directory cannot be written: %w", err)
	}
	return d, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// file returns the path of what stands under name in the directory.
func (d *Directory) file(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// writeAddresses tells other programs where the node listens, under the names
// of the configuration keys.
func (d *Directory) writeAddresses(addresses map[string]string) error {
	text, err := json.MarshalIndent(addresses, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(d.file("run", "addresses.json"), append(text, '\n'), 0o640)
}

// replaceFile writes a file so that a reader sees the old content or the new.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, mode); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(temporary, path)
}

// keepFile is replaceFile for what must be there after a power failure too.
func keepFile(path string, content []byte, mode os.FileMode) error {
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

// close gives the directory up. What is true only while the node runs goes.
func (d *Directory) close() {
	os.Remove(d.file("run", "addresses.json"))
	d.lock.Close()
}

// bound tells others, in a file, where the gateway listens.
type bound struct {
	dir *Directory
	log *slog.Logger

	mu        sync.Mutex // guards addresses
	addresses map[string]string
}

// add is write for a source, which goes on without the file.
func (b *bound) add(key, address string) {
	if err := b.write(Address{key, address}); err != nil {
		b.log.Error("the file of addresses could not be written; clients on this machine need the address told", "key", key, "address", address, "error", err)
	}
}

// keep forgets the addresses of sources that are not among the specs.
func (b *bound) keep(specs []source.Spec) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.addresses, func(key, _ string) bool {
		return key != "listen.https" && key != "listen.health" && !slices.ContainsFunc(specs, func(s source.Spec) bool {
			return key == listenKey(s.Name) || strings.HasPrefix(key, "sources."+s.Name+".")
		})
	})
	if err := b.dir.writeAddresses(b.addresses); err != nil {
		b.log.Error("the file of addresses could not be written; it tells of sources that have ended", "error", err)
	}
}

func (b *bound) write(list ...Address) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range list {
		b.log.Info("listening", "key", a.Key, "address", a.Address)
		b.addresses[a.Key] = a.Address
	}
	return b.dir.writeAddresses(b.addresses)
}
