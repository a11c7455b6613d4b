// Package gaps tells which sequence numbers are missing, and takes a person's word that
// they are lost. On a node that was restored from a backup it goes on naming that until
// the person has looked.
package gaps

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/backup"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/ledger"
)

// Health is told whether reports may be missing that were confirmed.
type Health interface {
	OK()
	Failing(reason string)
}

// Parts are what a Desk works with. All must be given.
type Parts struct {
	FS       vfs.FS
	Dir      string // data directory
	Intake   *intake.Intake
	SameDisk bool          // the system of record stands on this node's disk
	Health   func() Health // of the restore; called on a restored node only
	Log      *slog.Logger
}

// Desk answers for the gaps.
type Desk struct {
	Parts
	mu     sync.Mutex // guards what follows
	note   *backup.Note
	health Health
}

var _ ops.Gaps = (*Desk)(nil)

// Open reads whether the node was restored, and says so.
func Open(p Parts) (*Desk, error) {
	note, err := backup.ReadNote(p.FS, p.Dir)
	if err != nil || note == nil {
		return &Desk{Parts: p}, err
	}
	d := &Desk{Parts: p, note: note}
	p.Log.Warn("this node runs on a restored copy of its disk", "backup", note.Backup, "through", note.Position, "restored", note.Restored)
	if !p.SameDisk {
		return d, d.seen() // the record has what was committed, and fences the copy itself
	}
	d.health = p.Health()
	d.health.Failing(fmt.Sprintf(
		"restored from the backup of %s: what was committed after it is gone, unless controllers still have it; see 'penstock gaps', and when all controllers have reported, 'penstock gaps --declare-lost'",
		note.Backup.UTC().Format(time.RFC3339)))
	return d, nil
}

// seen takes the note away.
func (d *Desk) seen() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.note == nil {
		return nil
	}
	if err := d.FS.Remove(d.FS.PathJoin(d.Dir, backup.NoteName)); err != nil {
		return penstock.Errorf(penstock.Unavailable, "%s: %w", backup.NoteName, err)
	}
	d.note = nil
	if d.health != nil {
		d.health.OK()
	}
	return nil
}

// Gaps implements [ops.Gaps].
func (d *Desk) Gaps(limit int, shown func(controller string) bool) ops.GapsInfo {
	found, more := d.Intake.Gaps(limit, shown)
	info := ops.GapsInfo{Gaps: make([]ops.Gap, len(found)), More: more}
	for i, g := range found {
		info.Gaps[i] = ops.Gap(g)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.note != nil {
		info.Restored = &ops.RestoredInfo{Backup: d.note.Backup, Position: uint64(d.note.Position), Restored: d.note.Restored}
	}
	return info
}

// DeclareLost implements [ops.Gaps].
func (d *Desk) DeclareLost(ctx context.Context, gaps []ops.Gap, all bool) error {
	lost := make([]ledger.Gap, len(gaps))
	for i, g := range gaps {
		lost[i] = ledger.Gap(g)
	}
	if err := d.Intake.DeclareLost(ctx, lost); err != nil {
		return err
	}
	for _, g := range gaps {
		d.Log.Warn("declared lost by a person", "controller", g.Controller, "epoch", g.Epoch, "first", g.First, "last", g.Last)
	}
	if all {
		return d.seen()
	}
	return nil
}
