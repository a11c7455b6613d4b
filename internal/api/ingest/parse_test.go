package ingest

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

func FuzzParseHeader(f *testing.F) {
	f.Add("application/json", "gzip", "cbf43926", `"key"`)
	f.Add("application/x-ndjson; charset=utf-8", "", "CBF43926", "key")
	f.Add(`text/plain; a="`, "br", "+1234567", `"a\"b\\"`)
	f.Fuzz(func(t *testing.T, media, encoding, crc, key string) {
		r := &http.Request{Header: http.Header{
			"Content-Type": {media}, "Content-Encoding": {encoding}, "Penstock-Crc32": {crc}, "Idempotency-Key": {key},
		}}
		h, err := parseHeader(r, "")
		if err != nil {
			if c := penstock.CodeOf(err); c != penstock.Invalid && c != penstock.Unsupported {
				t.Fatalf("%v has the code %v", err, c)
			}
			return
		}
		if h.media != web.JSONType && h.media != mediaNDJSON && h.media != mediaBinary {
			t.Fatalf("media %q", h.media)
		}
		if !h.hasChecksum || len(crc) != 8 {
			t.Fatalf("checksum %q passed", crc)
		}
		if h.key == "" || len(h.key) > maxHeaderKey || strings.ContainsFunc(h.key, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
			t.Fatalf("key %q became %q", key, h.key)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(h.key) + `"`
		if again, err := parseKey([]string{quoted}); err != nil || again != h.key {
			t.Fatalf("%q is %q with quotes and %q without: %v", key, again, h.key, err)
		}
	})
}

// The parts of a body are the body, each within the limits, and where they are
// cut does not depend on how the bytes came.
func TestLineReaderCutsByContentAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringMatching(`([a-z]{0,12}\n){0,40}[a-z]{0,5}`).Draw(t, "body")
		maxBytes, maxLines := rapid.IntRange(13, 60).Draw(t, "bytes"), rapid.IntRange(1, 9).Draw(t, "lines")
		parts := func(r io.Reader) (all []string) {
			l := &lineReader{r: r, maxBytes: maxBytes, maxLines: maxLines}
			for more := true; more; {
				b := new(web.Body)
				var err error
				if more, err = l.next(b); err != nil {
					t.Fatal(err)
				}
				all = append(all, string(b.Bytes))
			}
			return all
		}
		whole := parts(strings.NewReader(body))
		if again := parts(iotest.OneByteReader(strings.NewReader(body))); !slices.Equal(whole, again) {
			t.Fatalf("%q against %q", whole, again)
		}
		if got := strings.Join(whole, ""); got != body {
			t.Fatalf("%q became %q", body, got)
		}
		for i, p := range whole {
			if len(p) > maxBytes || strings.Count(p, "\n") > maxLines || i < len(whole)-1 && !strings.HasSuffix(p, "\n") {
				t.Fatalf("part %d of %q is %q", i, body, p)
			}
		}
	})
}

func TestLineReaderRefuses(t *testing.T) {
	l := &lineReader{r: strings.NewReader("ab\n" + strings.Repeat("x", 100)), maxBytes: 20, maxLines: 5}
	if more, err := l.next(new(web.Body)); !more || err != nil {
		t.Fatal(more, err)
	}
	if _, err := l.next(new(web.Body)); penstock.CodeOf(err) != penstock.TooLarge || !strings.Contains(err.Error(), "Line 2 ") {
		t.Error(err)
	}
	l = &lineReader{r: iotest.ErrReader(errors.New("cut")), maxBytes: 20, maxLines: 5}
	if _, err := l.next(new(web.Body)); penstock.CodeOf(err) != penstock.Invalid {
		t.Error(err)
	}
}
