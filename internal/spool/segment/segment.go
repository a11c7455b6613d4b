package segment

import (
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool/disk"
)

// Segment is a segment whose header was read.
type Segment struct {
	Header
	Path   string
	Cipher *Cipher
	Size   int64 // of the file
}

// Open reads the header of a segment from either of its copies. The number is
// that of its name. Codes: [penstock.Corrupt] when neither copy is whole or it
// is of another number or node, [penstock.Unsupported] for a newer format,
// [penstock.NotFound] for a data key that the keyring does not have,
// [penstock.Unavailable] for an error of the disk.
func Open(fs vfs.FS, keys *keyring.Keyring, path string, number uint64) (*Segment, error) {
	size, b, err := disk.Prefix(fs, path, DataStart)
	if err != nil {
		return nil, err
	}
	h, raw, err := eitherHeader(b)
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "%s cannot be read: %w", path, err)
	}
	if h.Number != number {
		return nil, penstock.Errorf(penstock.Corrupt, "%s holds segment %016x: it was renamed or copied by hand; give it its name back or move it away", path, h.Number)
	}
	if h.Node != keys.NodeID() {
		return nil, penstock.Errorf(penstock.Corrupt, "%s was written by node %x, the keyring is that of node %x: put the keys directory that belongs to this spool back", path, h.Node, keys.NodeID())
	}
	stream, _, err := keys.OpenStream(purpose, h.Stream[:])
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "%s cannot be opened: %w", path, err)
	}
	return &Segment{Header: h, Path: path, Cipher: NewCipher(stream, raw), Size: size}, nil
}

// FirstDigests returns the digests that the segment carries of the last batch
// before it: none when its start cannot be read.
func (s *Segment) FirstDigests(fs vfs.FS) (Digests, error) {
	file, err := fs.Open(s.Path)
	if err != nil {
		return Digests{}, disk.Error(err, "open %s", s.Path)
	}
	defer file.Close()
	f, err := s.Scan(file).Next(s.Size)
	if err != nil && !errors.Is(err, io.EOF) {
		return Digests{}, err
	}
	return f.Digests, nil
}

// Ending is the end of the log as its last segment shows it.
type Ending struct {
	Next    penstock.Position // the position after the last entry that counts
	Durable penstock.Position // the position after the last entry known as durable
	Tail    []Frame           // batches from Durable on, to be made durable, without a gap
	Sealed  bool              // the last frame is a seal, and nothing follows it
	Frame   uint64            // number of the last frame that counts
	Bytes   int64             // up to the end of that frame
	Before  []byte            // encoded digests of the last batch before Durable
	Garbage int64             // where what cannot be read begins; 0 for nowhere
}

// ReadEnding tells torn from rotten. Some frame says through which frame the
// segment was synced: up to there a frame that cannot be read is rotten, it was
// acknowledged, and its positions stay. After that the log ends at the first
// frame that cannot be read: nobody was told of it.
func (s *Segment) ReadEnding(fs vfs.FS) (Ending, error) {
	file, err := fs.Open(s.Path)
	if err != nil {
		return Ending{}, disk.Error(err, "open %s", s.Path)
	}
	defer file.Close()
	var frames []Frame
	var acked uint64
	for sc := s.Scan(file); ; {
		f, err := sc.Next(s.Size)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Ending{}, err
		}
		acked = max(acked, f.Acked)
		frames = append(frames, f)
		trim(frames, acked)
	}
	e := judge(s.First, frames, acked)
	e.Garbage, err = FirstNonZero(file, e.Bytes, s.Size)
	e.Sealed = e.Sealed && e.Garbage == 0
	return e, err
}

// trim drops the entries of the frames that are known as durable, but for the
// last batch of them, so that only a tail is held in memory.
func trim(frames []Frame, acked uint64) {
	last := true
	for i := len(frames) - 1; i >= 0; i-- {
		f := &frames[i]
		switch {
		case f.Number > acked || f.Type != Batch:
		case last:
			last = false
		case f.Entries == nil:
			return
		default:
			f.Payload = Payload{}
		}
	}
}

// judge applies the rule of ReadEnding to the frames found.
func judge(first penstock.Position, frames []Frame, acked uint64) Ending {
	e := Ending{Next: first, Durable: first, Bytes: DataStart}
	for _, f := range frames {
		if f.Number != e.Frame+1 && e.Frame >= acked {
			break // torn: nobody was told of what follows
		}
		e.Frame, e.Next, e.Bytes, e.Sealed = f.Number, f.End(), f.Offset+f.Size(), f.Type == Seal
		switch {
		case f.Number <= acked && f.Type == Batch:
			e.Durable, e.Before = f.End(), EncodeDigests(f.First, f.Entries)
		case f.Type != Batch && len(e.Tail) == 0:
			e.Durable, e.Before = f.First, f.Before
		case f.Type == Batch:
			if len(e.Tail) == 0 {
				e.Durable, e.Before = f.First, f.Before
			}
			e.Tail = append(e.Tail, f)
		}
	}
	return e
}
