// Package support writes a bundle of what a person who helps from afar needs to know
// of a gateway, and nothing that is secret.
package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"time"
)

// Parts are what a bundle is made of. Those that are nil are left out.
type Parts struct {
	Version string
	Now     func() time.Time
	Config  func() ([]byte, error) // as YAML, secrets redacted
	Metrics func(w io.Writer) error
	Log     func() []byte            // the newest lines
	Facts   map[string]func() any    // by name of the file, without .json
	Secrets func(yield func([]byte)) // that must not be in it, wherever they might have got in
}

const (
	maxFile  = 4 << 20
	redacted = "[redacted]"
)

// Write writes the bundle: a tar archive, compressed with gzip.
func Write(w io.Writer, p Parts) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	now := p.Now()
	add := func(name string, content []byte, err error) error {
		if err != nil {
			name, content = name+".error.txt", []byte(err.Error()+"\n")
		}
		content = p.clean(content)
		if len(content) > maxFile {
			content = content[len(content)-maxFile:] // the end is the newest
		}
		head := tar.Header{Name: "penstock-support/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: now}
		if err := archive.WriteHeader(&head); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	}
	for _, file := range p.files() {
		content, err := file.read()
		if err := add(file.name, content, err); err != nil {
			return fmt.Errorf("support bundle: %s: %w", file.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

type file struct {
	name string
	read func() ([]byte, error)
}

// files returns what goes into the bundle.
func (p Parts) files() []file {
	all := []file{{"version.json", func() ([]byte, error) { return indented(p.version()) }}}
	if p.Config != nil {
		all = append(all, file{"config.yaml", p.Config})
	}
	if p.Metrics != nil {
		all = append(all, file{"metrics.txt", func() ([]byte, error) {
			var b bytes.Buffer
			err := p.Metrics(&b)
			return b.Bytes(), err
		}})
	}
	if p.Log != nil {
		all = append(all, file{"log.ndjson", func() ([]byte, error) { return p.Log(), nil }})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Facts)) {
		fact := p.Facts[name]
		all = append(all, file{name + ".json", func() ([]byte, error) { return indented(fact()) }})
	}
	return append(all, file{"goroutines.txt", func() ([]byte, error) {
		var b bytes.Buffer
		err := pprof.Lookup("goroutine").WriteTo(&b, 1)
		return b.Bytes(), err
	}})
}

// version tells what runs, on what.
func (p Parts) version() any {
	build := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			build[d.Path] = d.Version
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return map[string]any{
		"time": p.Now().UTC(), "version": p.Version, "go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH,
		"processors": runtime.GOMAXPROCS(0), "goroutines": runtime.NumGoroutine(), "modules": build,
		"memory": map[string]uint64{"system": m.Sys, "heap": m.HeapAlloc, "collections": uint64(m.NumGC)},
	}
}

func indented(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }

// secretText matches what looks like a secret, whoever wrote it there: tokens, what
// goes with a scheme of authorization, passwords in addresses, private keys.
var secretText = []*regexp.Regexp{
	regexp.MustCompile(`pst_[A-Za-z0-9_-]+`),
	regexp.MustCompile(`(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`://[^/\s:@"]+:[^/\s@"]+@`),
	regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`),
}

// clean takes out what is secret, known or by its looks.
func (p Parts) clean(b []byte) []byte {
	if p.Secrets != nil {
		p.Secrets(func(secret []byte) {
			if len(secret) >= 4 {
				b = bytes.ReplaceAll(b, secret, []byte(redacted))
			}
		})
	}
	for _, looks := range secretText {
		b = looks.ReplaceAll(b, []byte(redacted))
	}
	return b
}
