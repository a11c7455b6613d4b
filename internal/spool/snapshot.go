package spool

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/plant"
)

// The format of a snapshot: a header of one sector, then the data in sealed
// chunks, each but the last of snapshotChunk bytes.
const (
	snapshotMagic   = "PNSTKSNP"
	snapshotPurpose = "spool snapshot"
	snapshotChunk   = 1 << 20
	maxSnapshot     = 4 << 30
	keptSnapshots   = 2
)

// snapshot is one on the disk.
type snapshot struct {
	serial  uint64
	through penstock.Position
	path    string
	size    int64 // of the file
	err     error // why it cannot be read
}

type snapshotHeader struct {
	node    [16]byte
	serial  uint64
	through penstock.Position
	length  uint64
	created int64
	stream  [keyring.HeaderSize]byte
}

func (h snapshotHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, snapshotMagic)
	b[8] = version
	copy(b[16:], h.node[:])
	binary.BigEndian.PutUint64(b[32:], h.serial)
	binary.BigEndian.PutUint64(b[40:], uint64(h.through))
	binary.BigEndian.PutUint64(b[48:], h.length)
	binary.BigEndian.PutUint64(b[56:], uint64(h.created))
	copy(b[64:], h.stream[:])
	binary.BigEndian.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
	return b
}

func decodeSnapshotHeader(b []byte) (snapshotHeader, error) {
	var h snapshotHeader
	if len(b) < headerSize || string(b[:len(snapshotMagic)]) != snapshotMagic ||
		crc32.Checksum(b[:headerSize-4], castagnoli) != binary.BigEndian.Uint32(b[headerSize-4:]) {
		return h, penstock.Errorf(penstock.Corrupt, "its header is damaged")
	}
	if features := binary.BigEndian.Uint32(b[12:]); b[8] != version || features != 0 {
		return h, penstock.Errorf(penstock.Unsupported, "it has version %d and features %08x, this build reads version %d: use the newer penstock that wrote it", b[8], features, version)
	}
	h.node = [16]byte(b[16:])
	h.serial = binary.BigEndian.Uint64(b[32:])
	h.through = penstock.Position(binary.BigEndian.Uint64(b[40:]))
	h.length = binary.BigEndian.Uint64(b[48:])
	h.created = int64(binary.BigEndian.Uint64(b[56:]))
	h.stream = [keyring.HeaderSize]byte(b[64:])
	if h.length > maxSnapshot {
		return h, penstock.Errorf(penstock.Corrupt, "its header says %d bytes, more than a snapshot has", h.length)
	}
	return h, nil
}

// WriteSnapshot keeps data as the state that follows from all entries up to
// through, and returns when it is durable. Of the snapshots the last two are
// kept. Calls do not overlap. Code [penstock.Full] when the disk is.
func (s *Spool) WriteSnapshot(through penstock.Position, data []byte) error {
	s.filing.Lock()
	defer s.filing.Unlock()
	if through > s.Durable() {
		return penstock.Errorf(penstock.Internal, "a snapshot through position %d, where %d is the last durable one", through, s.Durable())
	}
	if len(data) > maxSnapshot {
		return penstock.Errorf(penstock.TooLarge, "a snapshot has at most %d bytes, this one has %d", int64(maxSnapshot), len(data))
	}
	snap := snapshot{serial: 1, through: through}
	if n := len(s.snapshots); n > 0 {
		snap.serial = s.snapshots[n-1].serial + 1
	}
	snap.path = s.dir.join(numbered(snap.serial, snapshotSuffix))
	size, err := s.dir.writeSnapshot(snap, data, s.opt.Now().UnixNano())
	if err != nil {
		return err
	}
	snap.size = size
	s.addUsed(size)
	s.snapshots = append(s.snapshots, snap)
	return s.dropSnapshots()
}

// dropSnapshots removes what is older than the last two readable snapshots. One
// that cannot be read goes only when two newer ones can be.
func (s *Spool) dropSnapshots() error {
	keep, readable := len(s.snapshots), 0
	for keep > 0 && readable < keptSnapshots {
		keep--
		if s.snapshots[keep].err == nil {
			readable++
		}
	}
	for _, old := range s.snapshots[:keep] {
		if err := s.dir.fs.Remove(old.path); err != nil && !isMissing(err) {
			return diskError(err, "remove %s", old.path)
		}
		s.addUsed(-old.size)
	}
	s.snapshots = slices.Delete(s.snapshots, 0, keep)
	return nil
}

func (d directory) writeSnapshot(snap snapshot, data []byte, now int64) (int64, error) {
	stream, err := d.keys.NewStream(snapshotPurpose)
	if err != nil {
		return 0, err
	}
	header := snapshotHeader{
		node: d.keys.NodeID(), serial: snap.serial, through: snap.through, length: uint64(len(data)), created: now,
		stream: [keyring.HeaderSize]byte(stream.Header()),
	}.encode()
	temp := snap.path + temporary
	size, err := writeChunks(d.fs, temp, header, stream, data)
	if err != nil {
		// What could not be written whole is of no use to anybody.
		return 0, diskError(errors.Join(err, ignoreMissing(d.fs.Remove(temp))), "write %s", temp)
	}
	if plant.SnapshotAfterUnlink.On() {
		return size, d.fs.Rename(temp, snap.path)
	}
	return size, d.publish(temp, snap.path)
}

func ignoreMissing(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}

func writeChunks(fs vfs.FS, path string, header []byte, stream *keyring.Stream, data []byte) (size int64, err error) {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	hash := sha256.Sum256(header)
	buf := make([]byte, 0, min(len(data), snapshotChunk)+keyring.Overhead)
	if _, err := f.Write(header); err != nil {
		return 0, err
	}
	size = int64(len(header))
	for n := uint64(0); n == 0 || len(data) > 0; n++ {
		chunk := data[:min(len(data), snapshotChunk)]
		data = data[len(chunk):]
		buf = stream.Seal(buf[:0], n, chunk, hash[:])
		if _, err := f.Write(buf); err != nil {
			return 0, err
		}
		size += int64(len(buf))
	}
	if plant.SnapshotAfterUnlink.On() {
		return size, nil
	}
	return size, f.Sync()
}

// Snapshot returns the newest snapshot that can be read, and through which
// position it stands. Codes: [penstock.NotFound] when there is none;
// [penstock.Corrupt] when there are and none can be read.
func (s *Spool) Snapshot() (penstock.Position, []byte, error) {
	s.filing.Lock()
	defer s.filing.Unlock()
	err := penstock.Errorf(penstock.NotFound, "there is no snapshot in %s", s.dir.path)
	for _, snap := range slices.Backward(s.snapshots) {
		var data []byte
		if data, err = s.dir.readSnapshot(snap.path, snap.serial); err == nil {
			return snap.through, data, nil
		}
		s.opt.Log.Error("a snapshot cannot be read: the one before is used", "err", err)
	}
	return 0, nil, err
}

// readSnapshots tells of each snapshot whether it can be read. A newer format
// is an error.
func (d directory) readSnapshots(serials []uint64) ([]snapshot, error) {
	var snaps []snapshot
	for _, n := range serials {
		snap := snapshot{serial: n, path: d.join(numbered(n, snapshotSuffix))}
		size, b, err := readPrefix(d.fs, snap.path, headerSize)
		if err != nil {
			return nil, err
		}
		snap.size = size
		if h, err := decodeSnapshotHeader(b); err == nil {
			snap.through = h.through
		}
		if _, snap.err = d.readSnapshot(snap.path, n); snap.err != nil && penstock.CodeOf(snap.err) != penstock.Corrupt {
			return nil, snap.err
		}
		snaps = append(snaps, snap)
	}
	return snaps, nil
}

func (d directory) readSnapshot(path string, serial uint64) ([]byte, error) {
	f, err := d.fs.Open(path)
	if err != nil {
		return nil, diskError(err, "open %s", path)
	}
	defer f.Close()
	b := make([]byte, headerSize)
	if _, err := io.ReadFull(f, b); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, diskError(err, "read %s", path)
	}
	h, err := decodeSnapshotHeader(b)
	if err == nil && (h.serial != serial || h.node != d.keys.NodeID()) {
		err = penstock.Errorf(penstock.Corrupt, "it is snapshot %d of node %x", h.serial, h.node)
	}
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "the snapshot %s cannot be read: %w", path, err)
	}
	stream, _, err := d.keys.OpenStream(snapshotPurpose, h.stream[:])
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "the snapshot %s cannot be opened: %w", path, err)
	}
	data, err := readChunks(f, h.length, stream, sha256.Sum256(b))
	if err != nil {
		return nil, fmt.Errorf("the snapshot %s cannot be read: %w", path, err)
	}
	return data, nil
}

func readChunks(r io.Reader, length uint64, stream *keyring.Stream, hash [sha256.Size]byte) ([]byte, error) {
	var data []byte
	buf := make([]byte, min(length, snapshotChunk)+keyring.Overhead)
	for n := uint64(0); n == 0 || length > 0; n++ {
		chunk := min(length, snapshotChunk)
		length -= chunk
		sealed := buf[:chunk+keyring.Overhead]
		if _, err := io.ReadFull(r, sealed); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, penstock.Errorf(penstock.Corrupt, "it is shorter than its header says")
		} else if err != nil {
			return nil, penstock.Errorf(penstock.Unavailable, "read chunk %d: %w", n, err)
		}
		var err error
		if data, err = stream.Open(data, n, sealed, hash[:]); err != nil {
			return nil, err
		}
	}
	return data, nil
}
