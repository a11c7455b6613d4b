package reportjson_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
)

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "pump-17", "a\"b\\c", "\x00\x1f\n", "é\u2028\u2029😀", "\xff\xfe", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := reportjson.AppendString([]byte("x"), s)[1:]
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q became %s: %v", s, b, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want {
			t.Fatalf("%q became %q", s, got)
		}
		for _, c := range string(b) {
			if c < 0x20 || c == '\u2028' || c == '\u2029' || c == utf8.RuneError && !strings.ContainsRune(s, c) {
				t.Fatalf("%q became %q", s, b)
			}
		}
	})
}

// Reading what was written gives the same bits, and a float is told from an
// integer by its form.
func TestBitsSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.Uint64().Draw(t, "bits")
		f := math.Float64frombits(bits)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return
		}
		b := string(reportjson.AppendValue(nil, penstock.FloatValue(f)))
		var got float64
		if err := json.Unmarshal([]byte(b), &got); err != nil || math.Float64bits(got) != bits || !strings.ContainsAny(b, ".e") {
			t.Fatalf("%x became %s: %v", bits, b, err)
		}
		if got := string(reportjson.AppendValue(nil, penstock.UintValue(bits))); strings.ContainsAny(got, ".e") {
			t.Fatalf("%d became %s", bits, got)
		}
	})
}

func TestTimesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64().Draw(t, "ns")
		got, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(reportjson.AppendTime(nil, ns, reportjson.RFC3339)))
		if err != nil || got.UnixNano() != ns {
			t.Fatalf("%d became %v, %v", ns, got, err)
		}
	})
}
