package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

// The names in the stream from a gateway that are not in a backup.
const (
	keyEntry   = "kek"   // the key-encryption key, on request, first
	errorEntry = "error" // why the gateway broke off, last
)

// Order is what a gateway is asked for.
type Order struct {
	Have []File `json:"have,omitempty"` // files that need not be sent while they are the same
	Key  bool   `json:"key,omitempty"`  // send the key-encryption key too
}

// Part is a file to be sent.
type Part struct {
	Path    string
	Size    int64                         // bytes from the start of what Open returns
	Open    func() (io.ReadCloser, error) // nil for Content
	Content []byte                        // is sealed
}

// Sending is a backup about to be sent.
type Sending struct {
	Manifest Manifest // without its format and files
	Parts    []Part
	Keyring  *keyring.Keyring
	Key      []byte // text of the key-encryption key; nil to keep it back
}

// Send writes a backup as a tar archive, without what order has already. An error is
// told in the archive too, so that the other side knows why it ends.
func Send(ctx context.Context, w io.Writer, s Sending, order Order) error {
	t := &sender{stopped: ctx.Err, tar: tar.NewWriter(w), when: s.Manifest.Time, keys: s.Keyring, have: map[string]File{}}
	for _, f := range order.Have {
		t.have[f.Path] = f
	}
	err := t.send(s)
	if err != nil {
		text := []byte(err.Error())
		if told := t.bytes(errorEntry, text); told != nil {
			return err // nobody listens any more
		}
	}
	if cerr := t.tar.Close(); err == nil {
		err = cerr
	}
	return err
}

type sender struct {
	stopped func() error
	tar     *tar.Writer
	when    time.Time
	keys    *keyring.Keyring
	have    map[string]File
}

func (t *sender) send(s Sending) error {
	if s.Key != nil {
		if err := t.bytes(keyEntry, s.Key); err != nil {
			return err
		}
	}
	m := s.Manifest
	m.Format, m.Files = format, nil
	for _, p := range s.Parts {
		f, err := t.part(p)
		if err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "%s: %w", p.Path, err)
		}
		m.Files = append(m.Files, f)
	}
	text, _, err := m.encode()
	if err != nil {
		return err
	}
	return t.bytes(ManifestName, text)
}

// part sends a file unless the other side has it.
func (t *sender) part(p Part) (f File, err error) {
	f = File{Path: p.Path, Size: p.Size}
	if p.Open == nil {
		sealed, err := seal(t.keys, p.Path, p.Content)
		if err != nil {
			return f, err
		}
		sum := sha256.Sum256(sealed)
		f.Size, f.SHA256, f.Sealed = int64(len(sealed)), hex.EncodeToString(sum[:]), true
		return f, t.bytes(p.Path, sealed)
	}
	if there, ok := t.have[p.Path]; ok && there.Size == p.Size {
		if f.SHA256, err = t.read(p, io.Discard); err != nil || f.SHA256 == there.SHA256 {
			return f, err
		}
	}
	if err := t.header(p.Path, p.Size); err != nil {
		return f, err
	}
	f.SHA256, err = t.read(p, t.tar)
	return f, err
}

// read copies the content of a part, and returns its hash.
func (t *sender) read(p Part, to io.Writer) (sum string, err error) {
	in, err := p.Open()
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := in.Close(); err == nil {
			err = cerr
		}
	}()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, h), io.LimitReader(patient{t.stopped, in}, p.Size))
	if err == nil && n < p.Size {
		err = penstock.Errorf(penstock.Corrupt, "it has %d bytes and should have %d", n, p.Size)
	}
	return hexSum(h), err
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func (t *sender) header(name string, size int64) error {
	return t.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: t.when})
}

func (t *sender) bytes(name string, content []byte) error {
	if err := t.header(name, int64(len(content))); err != nil {
		return err
	}
	_, err := io.Copy(t.tar, bytes.NewReader(content))
	return err
}

// patient is a reader that ends when it is told to.
type patient struct {
	stopped func() error
	r       io.Reader
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.stopped(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}
