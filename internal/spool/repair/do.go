package repair

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool/disk"
	"github.com/penstock/penstock/internal/spool/inventory"
	"github.com/penstock/penstock/internal/spool/segment"
)

func isEnd(err error) bool { return errors.Is(err, io.EOF) }

// Do does what the plan says. Cut off at any point it can be planned and done again.
func (p *Plan) Do() (err error) {
	fs := p.o.FS
	lock, err := fs.Lock(fs.PathJoin(p.o.Dir, inventory.Lock))
	if err != nil {
		return penstock.Errorf(penstock.Conflict, "lock the spool %s: stop the gateway that runs on it: %w", p.o.Dir, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if len(p.Steps) == 0 {
		return nil
	}
	if err := fs.MkdirAll(p.o.Beside, 0o700); err != nil {
		return disk.Error(err, "make %s", p.o.Beside)
	}
	if err := disk.SyncDir(fs, fs.PathDir(p.o.Beside)); err != nil {
		return err
	}
	for _, name := range p.copies {
		if err := p.rescue(name); err != nil {
			return err
		}
	}
	for _, name := range p.moves {
		if err := p.move(name); err != nil {
			return err
		}
	}
	if err := p.settle(); err != nil {
		return err
	}
	for _, h := range p.stands {
		if err := p.put(h); err != nil {
			return err
		}
	}
	return nil
}

// rescue puts a copy of what the disk can read of a file in its place.
func (p *Plan) rescue(name string) error {
	fs, path := p.o.FS, p.o.FS.PathJoin(p.o.Dir, name)
	temp := path + string(inventory.Temporary)
	in, err := p.fs.Open(path)
	if err != nil {
		return disk.Error(err, "open %s", path)
	}
	defer in.Close()
	out, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return disk.Error(err, "make %s", temp)
	}
	_, err = io.Copy(struct{ io.Writer }{out}, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return disk.Error(err, "copy %s", path)
	}
	if err := p.keep(name); err != nil {
		return err
	}
	return disk.Publish(fs, temp, path)
}

// maxKept is how many files of one name are kept before a person must look.
const maxKept = 100

// keep gives a file a second name beside, one that is free: a repair that was cut off may
// have been here.
func (p *Plan) keep(name string) error {
	fs, path := p.o.FS, p.o.FS.PathJoin(p.o.Beside, name)
	err := fs.Link(fs.PathJoin(p.o.Dir, name), path)
	for n := 2; errors.Is(err, iofs.ErrExist) && n < maxKept; n++ {
		err = fs.Link(fs.PathJoin(p.o.Dir, name), fmt.Sprintf("%s.%d", path, n))
	}
	if err != nil {
		return disk.Error(err, "keep %s in %s", name, p.o.Beside)
	}
	return disk.SyncDir(fs, p.o.Beside)
}

// move takes a file out of the spool.
func (p *Plan) move(name string) error {
	if !slices.Contains(p.copies, name) { // its original is there already
		if err := p.keep(name); err != nil {
			return err
		}
	}
	if err := disk.Remove(p.o.FS, p.o.FS.PathJoin(p.o.Dir, name)); err != nil {
		return err
	}
	return disk.SyncDir(p.o.FS, p.o.Dir)
}

// settle makes the end of the readable log durable before something follows it.
func (p *Plan) settle() error {
	if p.tail == "" {
		return nil
	}
	f, err := p.o.FS.OpenReadWrite(p.tail, vfs.WriteCategoryUnspecified)
	if err != nil {
		return disk.Error(err, "open %s", p.tail)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return disk.Error(err, "sync %s", p.tail)
	}
	return nil
}

// put makes an empty segment.
func (p *Plan) put(h segment.Header) error {
	stream, err := segment.NewStream(p.o.Keyring)
	if err != nil {
		return err
	}
	h.Node, h.Created, h.Stream = p.o.Keyring.NodeID(), p.o.Now().UnixNano(), [keyring.HeaderSize]byte(stream.Header())
	raw := h.Encode()
	b := make([]byte, segment.DataStart)
	copy(b, raw)
	copy(b[segment.HeaderCopy:], raw)
	opening := segment.Head{Type: segment.Opening, Number: 1, First: h.First, Time: h.Created, Segment: h.Number}
	b = segment.NewCipher(stream, raw).AppendOpening(b, opening, nil, segment.Origin{Why: segment.Repaired, Previous: h.Previous, Through: h.First - 1})
	fs, path := p.o.FS, p.o.FS.PathJoin(p.o.Dir, inventory.Name(h.Number, inventory.Segment))
	temp := path + string(inventory.Temporary)
	out, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return disk.Error(err, "make %s", temp)
	}
	_, err = out.Write(b)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return disk.Error(err, "write %s", temp)
	}
	return disk.Publish(fs, temp, path)
}
