package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/spool"
)

const (
	dir   = "/data/spool"
	small = 64 << 10
)

// newKeys returns the keyring of a node. It stands on a disk of its own: what
// becomes of it in a crash is the keyring's test.
func newKeys(t testing.TB) *keyring.Keyring {
	t.Helper()
	k, err := keyring.Open(vfs.NewMem(), "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// options are those of the tests: small segments, quick retries, and no idle
// marks unless a test asks for them.
func options(fs vfs.FS, k *keyring.Keyring) spool.Options {
	return spool.Options{FS: fs, Dir: dir, Keyring: k, SegmentBytes: small, IdleMark: time.Hour, Retry: time.Millisecond}
}

func open(t testing.TB, o spool.Options) (*spool.Spool, *spool.Recovery) {
	t.Helper()
	s, r, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, r
}

// outcome is what a call was told.
type outcome struct {
	first penstock.Position
	err   error
}

// submit appends one call and returns where its outcome will come.
func submit(s *spool.Spool, entries ...spool.Entry) <-chan outcome {
	c := make(chan outcome, 1)
	if err := s.Append(entries, func(first penstock.Position, err error) { c <- outcome{first, err} }); err != nil {
		c <- outcome{err: err}
	}
	return c
}

func entry(format string, args ...any) spool.Entry {
	text := fmt.Sprintf(format, args...)
	return spool.Entry{Data: []byte(text), Digest: []byte("#" + text[:min(len(text), 20)])}
}

// put appends one call and waits until it is durable.
func put(t testing.TB, s *spool.Spool, entries ...spool.Entry) penstock.Position {
	t.Helper()
	o := <-submit(s, entries...)
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.first
}

// readAll returns all records from a position on.
func readAll(t testing.TB, s *spool.Spool, from penstock.Position) []spool.Record {
	t.Helper()
	recs, err := tryReadAll(s, from)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func tryReadAll(s *spool.Spool, from penstock.Position) ([]spool.Record, error) {
	r := s.NewReader(from)
	defer r.Close()
	var all []spool.Record
	for {
		recs, err := r.Next(7)
		all = append(all, recs...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func texts(recs []spool.Record) string {
	var out []string
	for _, r := range recs {
		if r.Damaged {
			out = append(out, fmt.Sprintf("damaged %d-%d %q", r.First, r.Last, r.Digests))
			continue
		}
		out = append(out, fmt.Sprintf("%d %s", r.Position, r.Data))
	}
	return strings.Join(out, "\n")
}

func wantCode(t testing.TB, err error, code penstock.Code, words ...string) {
	t.Helper()
	if err == nil || penstock.CodeOf(err) != code {
		t.Fatalf("error %v, want one of code %v", err, code)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("error %q does not say %q", err, w)
		}
	}
}

// until polls a condition; it fails the test when it does not come true.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come to pass that %s", what)
		}
	}
}
