package spool

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/flow"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool/segment"
)

// Options are what a spool needs. FS, Dir and Keyring must be given.
type Options struct {
	FS      vfs.FS
	Dir     string // the spool's own directory, made when it is not there
	Keyring *keyring.Keyring

	SegmentBytes int64             // size of a segment: 64 KiB to 1 GiB, default 64 MiB
	QuotaBytes   int64             // most that the directory may hold; 0 is no limit but the disk's
	PendingBytes int64             // most that may wait for its fsync, default 64 MiB
	IdleMark     time.Duration     // after so long without entries the log states through where it is durable, default 200 ms
	Retry        time.Duration     // how long to wait after a failure before trying again, default 1 s
	Past         penstock.Position // positions through this one were given before, whatever the directory says: the record knows them
	AcceptLoss   bool              // start although segments are missing or unreadable: their positions are delivered as damaged

	Flow *flow.Book // is told how long entries wait and syncs take; nil for none

	Log *slog.Logger     // default: none
	Now func() time.Time // stamps frames; default time.Now
}

// Entry is one thing to keep: Data, and in Digest what it was in a few bytes.
type Entry = segment.Entry

// The limits of an entry and a call, beside those of [Options].
const (
	MaxDigest = 255     // bytes of an entry's digest
	MaxCall   = 8 << 20 // bytes of the data and digests of one Append; less where segments are small
)

const (
	minSegment     = 64 << 10
	defaultSegment = 64 << 20
	defaultPending = 64 << 20
	openingSegment = 4 << 20 // the first segment of a process is small, so that a start is quick
	maxGroup       = 4 << 20 // bytes of one write, unless one call has more
	targetFrame    = 1 << 20 // bytes of a frame, unless one call has more
)

func (o Options) withDefaults() (Options, error) {
	if o.FS == nil || o.Dir == "" || o.Keyring == nil {
		return o, penstock.Errorf(penstock.Internal, "a spool needs a file system, a directory and a keyring")
	}
	setDefault(&o.SegmentBytes, defaultSegment)
	setDefault(&o.PendingBytes, defaultPending)
	setDefault(&o.IdleMark, 200*time.Millisecond)
	setDefault(&o.Retry, time.Second)
	if o.SegmentBytes < minSegment || o.SegmentBytes > segment.MaxBytes {
		return o, penstock.Errorf(penstock.Invalid, "a segment has %d to %d bytes, not %d", minSegment, segment.MaxBytes, o.SegmentBytes)
	}
	o.SegmentBytes = segment.Align(o.SegmentBytes)
	if err := checkQuota(o.QuotaBytes, o.SegmentBytes); err != nil {
		return o, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

func checkQuota(quota, segment int64) error {
	if quota != 0 && quota < 3*segment {
		return penstock.Errorf(penstock.Invalid, "a quota of %d bytes holds less than three segments of %d", quota, segment)
	}
	return nil
}

func setDefault[T int64 | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// maxCall is the most that one call may encode to, so that a fresh segment has
// room for its opening, for the call and for the digests of a frame before it.
func (o Options) maxCall() int64 {
	return min(MaxCall, (o.SegmentBytes-4*segment.DataStart)/4)
}
