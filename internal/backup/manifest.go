package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock/penstock"
)

// The names in a backup.
const (
	ManifestName = "manifest.json"
	SumName      = ManifestName + ".sha256"
	WrappedName  = "keys/kek.wrapped"
	SpoolDir     = "spool"
	StoreDir     = "store"
	KeysDir      = "keys"
	StateDir     = "state"
	ConfigDir    = "config"
)

const (
	format      = 1
	maxFiles    = 1 << 20
	maxManifest = 512 << 20 // bytes
)

// Manifest tells what a backup holds.
type Manifest struct {
	Format    int               `json:"format"`
	Features  []string          `json:"features,omitempty"` // that a reader must know: none yet
	Version   string            `json:"penstock"`           // of the program
	Node      string            `json:"node"`               // id of the keyring's node, hexadecimal
	Key       string            `json:"key_id"`             // of the key-encryption key that opens it
	Time      time.Time         `json:"time"`
	First     penstock.Position `json:"first"`               // oldest position of the log
	Position  penstock.Position `json:"position"`            // last position of the log
	Settled   penstock.Position `json:"settled"`             // through which the embedded historian stands, at least
	Record    string            `json:"record"`              // name of the system of record
	Config    string            `json:"config,omitempty"`    // where the configuration file stood
	Elsewhere []string          `json:"elsewhere,omitempty"` // files that the configuration names and the backup does not hold
	LeftOut   []string          `json:"left_out,omitempty"`  // files of the data directory that are too large to be sealed
	Files     []File            `json:"files"`
}

// File is a file of a backup.
type File struct {
	Path   string `json:"path"` // with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Sealed bool   `json:"sealed,omitempty"` // by the backup; all else is as on the node's disk
}

// Bytes returns how many bytes the files have together.
func (m *Manifest) Bytes() (sum int64) {
	for _, f := range m.Files {
		sum += f.Size
	}
	return sum
}

// encode returns the manifest and its checksum file.
func (m *Manifest) encode() (text, sum []byte, err error) {
	text, err = json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, nil, err
	}
	text = append(text, '\n')
	return text, sumOf(text), nil
}

func sumOf(manifest []byte) []byte {
	return fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(manifest), ManifestName)
}

// decode reads a manifest that sum belongs to. Errors: [penstock.Corrupt],
// [penstock.Unsupported] for a newer format.
func decode(text, sum []byte) (*Manifest, error) {
	if !bytes.Equal(sumOf(text), sum) {
		return nil, penstock.Errorf(penstock.Corrupt, "the checksum of the manifest does not hold: %s or %s is damaged", ManifestName, SumName)
	}
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, penstock.Errorf(penstock.Corrupt, "the manifest cannot be read: %w", err)
	}
	if m.Format != format || len(m.Features) > 0 {
		return nil, penstock.Errorf(penstock.Unsupported, "the backup has format %d with %q, this program reads format %d: use the newer penstock that wrote it", m.Format, m.Features, format)
	}
	return m, m.check()
}

// check refuses what would write or read outside of the backup.
func (m *Manifest) check() error {
	if len(m.Files) > maxFiles {
		return penstock.Errorf(penstock.TooLarge, "a backup has at most %d files, this one %d", maxFiles, len(m.Files))
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		sum, err := hex.DecodeString(f.SHA256)
		if err != nil || len(sum) != sha256.Size || f.Size < 0 || seen[f.Path] {
			return penstock.Errorf(penstock.Corrupt, "the manifest says nonsense of %s", f.Path)
		}
		seen[f.Path] = true
	}
	return nil
}

// checkPath refuses a name that is no plain path below one of the directories.
func checkPath(name string) error {
	top, _, below := strings.Cut(name, "/")
	known := top == SpoolDir || top == StoreDir || top == KeysDir || top == StateDir || top == ConfigDir
	if !below || !known || path.Clean(name) != name || !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsRune(name, '\\') {
		return penstock.Errorf(penstock.Corrupt, "%q is no name of a file in a backup", name)
	}
	return nil
}
