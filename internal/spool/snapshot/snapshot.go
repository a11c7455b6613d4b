// Package snapshot writes and reads the snapshots of a spool: opaque state that
// follows from the log up to some position, sealed in a file of its own.
package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/spool/disk"
)

// MaxBytes is the most that a snapshot holds.
const MaxBytes = 1 << 30

// The format: a header of one sector, then the data in sealed chunks, each but
// the last of chunkSize bytes. DESIGN.md of package spool has it as a table.
const (
	magic      = "PNSTKSNP"
	purpose    = "spool snapshot"
	version    = 1
	headerSize = 512
	chunkSize  = 1 << 20
)

// File is a snapshot on the disk.
type File struct {
	Serial  uint64
	Through penstock.Position
	Path    string
	Size    int64 // of the file
	Err     error // why it cannot be read
}

type header struct {
	node    [16]byte
	serial  uint64
	through penstock.Position
	length  uint64
	created int64
	stream  [keyring.HeaderSize]byte
}

func (h header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	b[8] = version
	copy(b[16:], h.node[:])
	binary.BigEndian.PutUint64(b[32:], h.serial)
	binary.BigEndian.PutUint64(b[40:], uint64(h.through))
	binary.BigEndian.PutUint64(b[48:], h.length)
	binary.BigEndian.PutUint64(b[56:], uint64(h.created))
	copy(b[64:], h.stream[:])
	binary.BigEndian.PutUint32(b[headerSize-4:], checksum(b))
	return b
}

func decodeHeader(b []byte) (header, error) {
	var h header
	if len(b) < headerSize || string(b[:len(magic)]) != magic ||
		checksum(b) != binary.BigEndian.Uint32(b[headerSize-4:]) {
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
	if h.length > MaxBytes {
		return h, penstock.Errorf(penstock.Corrupt, "its header says %d bytes, more than a snapshot has", h.length)
	}
	return h, nil
}

// Write writes a snapshot, with f's serial, position and path, and returns its
// size when it is durable. Codes: [penstock.Full], [penstock.Unavailable].
func Write(fs vfs.FS, keys *keyring.Keyring, f File, data []byte, now time.Time) (int64, error) {
	stream, err := keys.NewStream(purpose)
	if err != nil {
		return 0, err
	}
	head := header{
		node: keys.NodeID(), serial: f.Serial, through: f.Through, length: uint64(len(data)), created: now.UnixNano(),
		stream: [keyring.HeaderSize]byte(stream.Header()),
	}.encode()
	temp := f.Path + ".tmp"
	size, err := writeChunks(fs, temp, head, stream, data)
	if err != nil {
		// What could not be written whole is of no use to anybody.
		return 0, disk.Error(errors.Join(err, disk.Remove(fs, temp)), "write %s", temp)
	}
	if plant.SnapshotAfterUnlink.On() {
		return size, fs.Rename(temp, f.Path)
	}
	return size, disk.Publish(fs, temp, f.Path)
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
	buf := make([]byte, 0, min(len(data), chunkSize)+keyring.Overhead)
	if _, err := f.Write(header); err != nil {
		return 0, err
	}
	size = int64(len(header))
	for n := uint64(0); n == 0 || len(data) > 0; n++ {
		chunk := data[:min(len(data), chunkSize)]
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

// Look tells of a snapshot whether it can be read: Err says why not. The error
// it returns is of the disk, or [penstock.Unsupported] for a newer format, or
// [penstock.NotFound] for a data key that the keyring does not have.
func Look(fs vfs.FS, path string, serial uint64, keys *keyring.Keyring) (File, error) {
	f := File{Serial: serial, Path: path}
	size, b, err := disk.Prefix(fs, path, headerSize)
	if err != nil {
		return f, err
	}
	f.Size = size
	if h, err := decodeHeader(b); err == nil {
		f.Through = h.through
	}
	if _, f.Err = Read(fs, path, serial, keys); f.Err != nil && penstock.CodeOf(f.Err) != penstock.Corrupt {
		return f, f.Err
	}
	return f, nil
}

// Read returns what a snapshot holds. Code [penstock.Corrupt] when it is not as
// it was written; others as for [Look].
func Read(fs vfs.FS, path string, serial uint64, keys *keyring.Keyring) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, disk.Error(err, "open %s", path)
	}
	defer f.Close()
	b := make([]byte, headerSize)
	if _, err := io.ReadFull(f, b); err != nil && !isShort(err) {
		return nil, disk.Error(err, "read %s", path)
	}
	h, err := decodeHeader(b)
	if err == nil && (h.serial != serial || h.node != keys.NodeID()) {
		err = penstock.Errorf(penstock.Corrupt, "it is snapshot %d of node %x", h.serial, h.node)
	}
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "the snapshot %s cannot be read: %w", path, err)
	}
	stream, _, err := keys.OpenStream(purpose, h.stream[:])
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "the snapshot %s cannot be opened: %w", path, err)
	}
	data, err := readChunks(f, h.length, stream, sha256.Sum256(b))
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "the snapshot %s cannot be read: %w", path, err)
	}
	return data, nil
}

func isShort(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func checksum(b []byte) uint32 {
	return crc32.Checksum(b[:headerSize-4], crc32.MakeTable(crc32.Castagnoli))
}

func readChunks(r io.Reader, length uint64, stream *keyring.Stream, hash [sha256.Size]byte) ([]byte, error) {
	var data []byte
	buf := make([]byte, min(length, chunkSize)+keyring.Overhead)
	for n := uint64(0); n == 0 || length > 0; n++ {
		chunk := min(length, chunkSize)
		length -= chunk
		sealed := buf[:chunk+keyring.Overhead]
		if _, err := io.ReadFull(r, sealed); isShort(err) {
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
