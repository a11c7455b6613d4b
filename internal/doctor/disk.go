package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// What a measurement of the disk writes.
const (
	syncWrites = 100
	syncBlock  = 4 << 10
	bulkWrites = 16
	bulkBlock  = 1 << 20
	diskLimit  = 5 * time.Second // a disk that is so slow is judged by what came
)

// measureDisk measures a directory's disk with a file that goes away.
func measureDisk(ctx context.Context, dir string, now func() time.Time) (Disk, error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return Disk{}, err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	block := make([]byte, bulkBlock)
	for i := range block {
		block[i] = byte(i * 7) // not zeros, which some disks do not write
	}
	began := now()
	var taken []time.Duration
	for range syncWrites {
		if ctx.Err() != nil {
			return Disk{}, ctx.Err()
		}
		before := now()
		if _, err := f.Write(block[:syncBlock]); err != nil {
			return Disk{}, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return Disk{}, err
		}
		after := now()
		if taken = append(taken, after.Sub(before)); after.Sub(began) > diskLimit {
			break
		}
	}
	slices.Sort(taken)
	d := Disk{Median: taken[len(taken)/2], Worst: taken[len(taken)*99/100]}
	before, written := now(), 0
	for written < bulkWrites*bulkBlock && now().Sub(before) < diskLimit {
		n, err := f.Write(block)
		if err != nil {
			return Disk{}, err
		}
		written += n
	}
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return Disk{}, err
	}
	d.Throughput = float64(written) / max(now().Sub(before), time.Microsecond).Seconds()
	return d, nil
}

// Bounds of what a disk should do.
const (
	slowSync       = 20 * time.Millisecond
	uselessSync    = 500 * time.Millisecond
	slowThroughput = 50e6 // bytes a second
	reserve        = 1 << 30
)

func checkSpace(_ context.Context, x *examination) []finding {
	dir := existing(x.Data)
	s, err := x.Space(dir)
	if err != nil {
		return finding{trouble: broken, found: "cannot be asked: " + err.Error(), fix: "mount the file system of " + x.Data}.one()
	}
	used := treeBytes(filepath.Join(x.Data, "spool"))
	need := uint64(max(x.Quota-used, 0)) + reserve
	f := fine("%s of %s are free at %s; the spool may still take %s", bytes(s.Available), bytes(s.Total), dir, bytes(uint64(max(x.Quota-used, 0))))
	switch {
	case s.InodesKnown && s.Inodes < 1000:
		f.trouble, f.fix = broken, "no files can be made although there is room: delete small files, or make the file system anew with more inodes"
		f.found = fmt.Sprintf("%d inodes are free at %s", s.Inodes, dir)
	case s.Available < reserve:
		f.trouble, f.fix = broken, "free space, or move the data directory to a larger disk (key data)"
	case s.Available < need:
		f.trouble, f.fix = short, "free space, or set spool.quota so that it fits"
	}
	return f.one()
}

// fileSystems are those on which a sync does not mean what it should, or a lock
// does not hold.
var fileSystems = map[int64]struct {
	name    string
	trouble trouble
	says    string
}{
	unix.TMPFS_MAGIC:           {"tmpfs", broken, "it is memory: everything is lost at a restart of the machine"},
	unix.RAMFS_MAGIC:           {"ramfs", broken, "it is memory: everything is lost at a restart of the machine"},
	unix.NFS_SUPER_MAGIC:       {"nfs", short, "it syncs over the network, and its locks may not hold"},
	unix.SMB2_SUPER_MAGIC:      {"smb", broken, "its syncs and locks do not hold"},
	unix.CIFS_SUPER_MAGIC:      {"cifs", broken, "its syncs and locks do not hold"},
	unix.FUSE_SUPER_MAGIC:      {"fuse", short, "whether its syncs hold depends on the program behind it"},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlayfs", short, "it is that of a container, and goes away with it"},
}

func checkFileSystem(_ context.Context, x *examination) []finding {
	dir := existing(x.Data)
	s, err := x.Space(dir)
	if err != nil {
		return finding{trouble: broken, found: "cannot be asked: " + err.Error(), fix: "mount the file system of " + x.Data}.one()
	}
	bad, known := fileSystems[s.Type]
	if !known {
		return fine("that of %s keeps what is synced (type %#x)", dir, s.Type).one()
	}
	return finding{trouble: bad.trouble, found: fmt.Sprintf("%s is on %s: %s", dir, bad.name, bad.says),
		fix: "put the data directory on a disk of this machine with ext4 or XFS (key data)"}.one()
}

func checkSync(ctx context.Context, x *examination) []finding {
	d, err := x.disk(ctx)
	if err != nil {
		return finding{trouble: broken, found: "nothing could be written: " + err.Error(), fix: "make the data directory writable for the account of the gateway, and free space"}.one()
	}
	f := fine("median %v, 99 of 100 within %v", d.Median.Round(time.Microsecond), d.Worst.Round(time.Microsecond))
	switch {
	case d.Worst > uselessSync:
		f.trouble, f.fix = broken, "take a disk with power-loss protection, or none that others keep busy (iostat -x 1 shows them)"
	case d.Worst > slowSync:
		f.trouble, f.fix = short, "take NVMe storage, or look who keeps the disk busy: iostat -x 1"
	}
	return f.one()
}

func checkThroughput(ctx context.Context, x *examination) []finding {
	d, err := x.disk(ctx)
	if err != nil {
		return finding{trouble: broken, found: "nothing could be written: " + err.Error(), fix: "see the check of disk sync"}.one()
	}
	f := fine("%s a second, synced", bytes(uint64(d.Throughput)))
	if d.Throughput < slowThroughput {
		f.trouble, f.fix = short, "take a faster disk, or look who keeps it busy: iostat -x 1"
	}
	return f.one()
}

// disk measures once and remembers.
func (x *examination) disk(ctx context.Context) (Disk, error) {
	if x.measured == nil {
		d, err := x.Machine.Disk(ctx, existing(x.Data))
		x.measured = &measurement{d, err}
	}
	return x.measured.disk, x.measured.err
}

type measurement struct {
	disk Disk
	err  error
}
