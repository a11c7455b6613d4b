package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// maxText bounds the entries of a stream that are no files.
const maxText = 64 << 10

// target is where a backup is written to.
type target interface {
	// file writes a file of so many bytes.
	file(name string, size int64, content io.Reader) error
	// reuse takes a file that was not sent over from an earlier backup.
	reuse(f File) error
	// finish makes all of it durable and gives it its name.
	finish(m *Manifest, manifest, sum []byte) error
	// abort takes away what was written.
	abort() error
}

// Received is a backup that was received.
type Received struct {
	Manifest *Manifest
	Sent     int64       // bytes that came; the rest was there
	Key      keyring.Key // where it was asked for
	HasKey   bool
}

// Extras are files that a backup gets beside those of the gateway, by path.
type Extras func(key keyring.Key) (map[string][]byte, error)

// receive reads a stream of [Send] into a target. What does not end well leaves
// nothing.
func receive(r io.Reader, to target, extras Extras) (got Received, err error) {
	in := &receiver{tar: tar.NewReader(r), to: to, extras: extras, sums: map[string]File{}}
	err = in.run()
	if err != nil {
		err = errors.Join(err, to.abort())
	}
	return in.got, err
}

type receiver struct {
	tar    *tar.Reader
	to     target
	extras Extras
	got    Received
	sums   map[string]File // what was written
}

func (in *receiver) run() error {
	for {
		h, err := in.tar.Next()
		if err != nil {
			return brokeOff(err)
		}
		switch h.Name {
		case errorEntry:
			text, err := in.text(h, maxText)
			return errors.Join(penstock.Errorf(penstock.Unavailable, "the gateway could not make the backup: %s", text), err)
		case keyEntry:
			text, err := in.text(h, maxText)
			if err != nil {
				return err
			}
			if in.got.Key, err = keyring.ParseKey(text); err != nil {
				return err
			}
			in.got.HasKey = true
		case ManifestName:
			text, err := in.text(h, maxManifest)
			if err != nil {
				return err
			}
			return in.finish(text)
		default:
			if err := in.file(h.Name, h.Size, in.tar); err != nil {
				return err
			}
			in.got.Sent += h.Size
		}
	}
}

func brokeOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return penstock.Errorf(penstock.Unavailable, "the backup broke off before its end: the gateway's log says why: %w", io.ErrUnexpectedEOF)
	}
	return penstock.Errorf(penstock.Unavailable, "the backup broke off: %w", err)
}

func (in *receiver) text(h *tar.Header, most int64) ([]byte, error) {
	if h.Size > most {
		return nil, penstock.Errorf(penstock.TooLarge, "%s has %d bytes, at most %d are read", h.Name, h.Size, most)
	}
	text, err := io.ReadAll(in.tar)
	if err != nil {
		return nil, brokeOff(err)
	}
	return text, nil
}

// file writes a file and notes its hash.
func (in *receiver) file(name string, size int64, content io.Reader) error {
	if err := checkPath(name); err != nil {
		return err
	}
	if _, twice := in.sums[name]; twice || len(in.sums) == maxFiles {
		return penstock.Errorf(penstock.Corrupt, "%s comes twice, or is one file too many", name)
	}
	h := sha256.New()
	if err := in.to.file(name, size, io.TeeReader(content, h)); err != nil {
		return err
	}
	in.sums[name] = File{Path: name, Size: size, SHA256: hexSum(h)}
	return nil
}

// finish holds what came against the manifest, adds what is missing of an earlier
// backup, and ends the backup.
func (in *receiver) finish(text []byte) error {
	m, err := decode(text, sumOf(text))
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		there, came := in.sums[f.Path]
		if !came {
			if err := in.to.reuse(f); err != nil {
				return err
			}
			continue
		}
		if there.Size != f.Size || there.SHA256 != f.SHA256 {
			return penstock.Errorf(penstock.Corrupt, "%s did not come as it was sent: make the backup again", f.Path)
		}
	}
	if in.extras != nil {
		added, err := in.extras(in.got.Key)
		if err != nil {
			return err
		}
		for name, content := range added {
			if err := in.file(name, int64(len(content)), bytes.NewReader(content)); err != nil {
				return err
			}
			m.Files = append(m.Files, in.sums[name])
		}
	}
	in.got.Manifest = m
	text, sum, err := m.encode()
	if err != nil {
		return err
	}
	return in.to.finish(m, text, sum)
}
