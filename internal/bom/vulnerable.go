package bom

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock"
)

// maxEntry is the largest entry of a database that is read, in bytes.
const maxEntry = 8 << 20

// Vulnerability is an entry of a database that names a module at the version
// which the program was built from.
type Vulnerability struct {
	ID      string   `json:"id"`
	Aliases []string `json:"aliases,omitempty"` // such as CVE numbers
	Summary string   `json:"summary"`
	Module  string   `json:"module"`
	Version string   `json:"version"`
	Fixed   string   `json:"fixed,omitempty"` // the first version without it; empty when there is none
}

// Database is what was read of a database.
type Database struct {
	Entries int       `json:"entries"`
	Date    time.Time `json:"date"`   // of the newest change in it; zero when the entries have no dates
	Newest  string    `json:"newest"` // the entry of the highest number
}

// entry is the part of an OSV record that is needed.
type entry struct {
	ID        string     `json:"id"`
	Modified  time.Time  `json:"modified"` // empty in the database's own repository
	Withdrawn *time.Time `json:"withdrawn"`
	Aliases   []string   `json:"aliases"`
	Summary   string     `json:"summary"`
	Details   string     `json:"details"`
	Affected  []affected `json:"affected"`
}

type affected struct {
	Package struct{ Name, Ecosystem string }
	Ranges  []versionRange
}

type versionRange struct {
	Type   string
	Events []struct{ Introduced, Fixed string }
}

// Vulnerable compares the modules with a database of OSV records, the files
// GO-*.json of the Go vulnerability database. A module is named when its version
// is affected; whether the program calls what is affected only an analysis of the
// source tells.
func Vulnerable(modules []Module, database fs.FS) ([]Vulnerability, Database, error) {
	var found []Vulnerability
	var d Database
	err := fs.WalkDir(database, ".", func(name string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() || !strings.HasPrefix(path.Base(name), "GO-") || path.Ext(name) != ".json" {
			return err
		}
		e, err := readEntry(database, name)
		if err != nil {
			return err
		}
		d.Entries++
		if e.Modified.After(d.Date) {
			d.Date = e.Modified
		}
		if numberOf(e.ID).after(numberOf(d.Newest)) {
			d.Newest = e.ID
		}
		for _, m := range modules {
			if v, ok := e.affects(m); ok {
				found = append(found, v)
			}
		}
		return nil
	})
	if err == nil && d.Entries == 0 {
		err = penstock.Errorf(penstock.NotFound, "there is no entry in it: a database is a directory with files such as GO-2024-2687.json")
	}
	slices.SortFunc(found, func(a, b Vulnerability) int { return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.ID, b.ID)) })
	return found, d, err
}

func readEntry(database fs.FS, name string) (e entry, err error) {
	info, err := fs.Stat(database, name)
	if err != nil {
		return e, err
	}
	if info.Size() > maxEntry {
		return e, penstock.Errorf(penstock.Invalid, "%s has %d bytes, more than an entry has", name, info.Size())
	}
	text, err := fs.ReadFile(database, name)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, penstock.Errorf(penstock.Corrupt, "%s is no OSV record: %w", name, err)
	}
	return e, nil
}

// affects tells whether the entry names the module at its version.
func (e entry) affects(m Module) (Vulnerability, bool) {
	if e.Withdrawn != nil {
		return Vulnerability{}, false
	}
	for _, a := range e.Affected {
		if a.Package.Name != m.Path || a.Package.Ecosystem != "" && a.Package.Ecosystem != "Go" {
			continue
		}
		for _, r := range a.Ranges {
			if in, fixed := r.holds(m.Version); in {
				return Vulnerability{e.ID, e.Aliases, e.title(), m.Path, m.Version, fixed}, true
			}
		}
	}
	return Vulnerability{}, false
}

func (e entry) title() string {
	if e.Summary != "" {
		return e.Summary
	}
	first, _, _ := strings.Cut(e.Details, "\n")
	return first
}

// holds tells whether the version is in the range, and the first one behind it
// that is not, if there is one. Events come in the order of their versions.
func (r versionRange) holds(version string) (in bool, fixed string) {
	if r.Type != "SEMVER" {
		return false, ""
	}
	for _, event := range r.Events {
		if event.Introduced != "" && (event.Introduced == "0" || compareVersions(version, event.Introduced) >= 0) {
			in = true
		}
		switch {
		case event.Fixed == "":
		case compareVersions(version, event.Fixed) >= 0:
			in = false
		case fixed == "":
			fixed = event.Fixed
		}
	}
	return in, fixed
}

// number is that of an entry: GO-2026-5932.
type number struct{ year, serial string }

func numberOf(id string) number {
	year, serial, _ := strings.Cut(strings.TrimPrefix(id, "GO-"), "-")
	return number{year, serial}
}

func (n number) after(other number) bool {
	return cmp.Or(compareNumbers(n.year, other.year), compareNumbers(n.serial, other.serial)) > 0
}
