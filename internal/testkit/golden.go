package testkit

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew instead of comparing with them")

// Golden fails the test unless got equals the file testdata/name of the package
// under test. With the flag -update it writes the file instead. Line ends count.
func Golden(t testing.TB, name string, got []byte) {
	t.Helper()
	GoldenFile(t, filepath.Join("testdata", filepath.FromSlash(name)), got)
}

// GoldenFile is Golden for a file anywhere: a document that is generated from
// the program. The path is relative to the package under test.
func GoldenFile(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := writeGolden(path, got); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\nrun the test with -update to make it", err)
	}
	if bytes.Equal(got, want) {
		return
	}
	line, gotLine, wantLine := firstDifference(got, want)
	t.Errorf("%s differs first in line %d\n got: %s\nwant: %s\nrun the test with -update if the new text is right, and read the diff",
		path, line, gotLine, wantLine)
}

func writeGolden(path string, got []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, got, 0o644)
}

// firstDifference returns the number of the first line in which a and b differ,
// and that line of both.
func firstDifference(a, b []byte) (line int, inA, inB []byte) {
	as, bs := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range max(len(as), len(bs)) {
		inA, inB = []byte("(end)"), []byte("(end)")
		if i < len(as) {
			inA = as[i]
		}
		if i < len(bs) {
			inB = bs[i]
		}
		if !bytes.Equal(inA, inB) {
			return i + 1, inA, inB
		}
	}
	return 0, nil, nil
}
