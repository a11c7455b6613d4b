package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/penstock/penstock"
)

// Upgrade returns the steps that put a new program in the place of the installed
// one, which is kept beside it: Program.previous.
func Upgrade(o Options) ([]Step, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	steps := []Step{kept{Program}, program{o.Binary, Program}, emptyRoot{RootDir}}
	return append(steps, o.unitFiles()...), nil
}

// kept is a copy of a file beside it.
type kept struct{ path string }

// String implements [Step].
func (k kept) String() string { return "keep       " + k.path + " as " + k.path + ".previous" }

// Apply implements [Step].
func (k kept) Apply(ctx context.Context, t *Target) (bool, error) {
	content, err := os.ReadFile(t.path(k.path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, penstock.Errorf(penstock.NotFound, "%s is not there: 'penstock install' comes first; a package is upgraded by its manager", t.path(k.path))
	}
	if err != nil {
		return false, err
	}
	return file{path: k.path + ".previous", content: content, mode: 0o755, owner: root}.Apply(ctx, t)
}

// Restart starts the gateway anew and waits until it says that it is ready. When
// that fails, the program before it is put back and started.
func Restart(ctx context.Context, t *Target) error {
	if !t.systemd() {
		return nil
	}
	err := t.Run(ctx, "systemctl", "daemon-reload")
	if err == nil {
		err = t.Run(ctx, "systemctl", "restart", "penstock.service")
	}
	if err == nil {
		return nil
	}
	back := program{t.path(Program + ".previous"), Program}
	if _, backErr := back.Apply(ctx, t); backErr != nil {
		return errors.Join(err, fmt.Errorf("and the program before could not be put back: %w", backErr))
	}
	if backErr := t.Run(ctx, "systemctl", "restart", "penstock.service"); backErr != nil {
		return penstock.Errorf(penstock.Unavailable, "the new program does not start (%w), and neither does the one before, which was put back (%w): journalctl -u penstock", err, backErr)
	}
	return penstock.Errorf(penstock.Unavailable, "the new program does not start (%w); the one before was put back and runs: journalctl -u penstock tells why", err)
}
