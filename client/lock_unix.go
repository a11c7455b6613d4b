//go:build unix

package client

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/penstock/penstock"
)

// lockDir takes the directory for this client alone: two that give out the same
// numbers would lose each other's reports.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, penstock.Errorf(penstock.Unavailable, "the outbox: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, penstock.Errorf(penstock.Conflict, "the outbox %s is in use by another client: %w", dir, err)
	}
	return f, nil
}
