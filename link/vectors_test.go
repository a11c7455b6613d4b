package link_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// vectors mirrors testdata/vectors.json.
type vectors struct {
	Reports []vector  `json:"reports"`
	Refused []refusal `json:"refused"`
}

type vector struct {
	Name        string       `json:"name"`
	Encoding    string       `json:"encoding"`
	Fingerprint string       `json:"fingerprint"`
	Report      vectorReport `json:"report"`
}

type refusal struct {
	Name     string `json:"name"`
	Encoding string `json:"encoding"`
	Code     string `json:"code"`
	At       int    `json:"at"`
	Field    string `json:"field"`
}

type vectorReport struct {
	Controller string         `json:"controller"`
	Identity   vectorIdentity `json:"identity"`
	Samples    []vectorSample `json:"samples"`
}

type vectorIdentity struct {
	Form  string `json:"form"`
	Epoch uint64 `json:"epoch,string,omitempty"`
	Seq   uint64 `json:"seq,string,omitempty"`
	Key   string `json:"key,omitempty"`
}

type vectorSample struct {
	Point  string `json:"point"`
	Unit   string `json:"unit"`
	Time   int64  `json:"time,string"`
	Kind   string `json:"kind"`
	Value  string `json:"value"`
	Status uint32 `json:"status"`
	Native uint32 `json:"native"`
	Flags  uint8  `json:"flags"`
}

func (v vector) encoding(t testing.TB) []byte  { return fromHex(t, v.Encoding) }
func (v refusal) encoding(t testing.TB) []byte { return fromHex(t, v.Encoding) }

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// report returns the report that the vector describes.
func (v vectorReport) report(t *testing.T) *penstock.Report {
	t.Helper()
	r := &penstock.Report{Controller: v.Controller}
	switch v.Identity.Form {
	case "natural":
	case "key":
		r.Identity = penstock.KeyIdentity(v.Identity.Key)
	case "sequence":
		r.Identity = penstock.SequenceIdentity(v.Identity.Epoch, v.Identity.Seq)
	default:
		t.Fatalf("identity form %q", v.Identity.Form)
	}
	for _, s := range v.Samples {
		r.Samples = append(r.Samples, penstock.Sample{
			Point: s.Point, Unit: s.Unit, SourceTime: s.Time, Value: s.value(t),
			Status: penstock.Status(s.Status), Native: s.Native, Flags: penstock.SampleFlags(s.Flags),
		})
	}
	return r
}

// value reads a value: a float as the 16 hexadecimal digits of its bits, an
// integer in decimal, a bool as its word, text as it is, none as nothing.
func (s vectorSample) value(t *testing.T) penstock.Value {
	t.Helper()
	var v penstock.Value
	var err error
	switch s.Kind {
	case "none":
	case "float64":
		var bits uint64
		bits, err = strconv.ParseUint(s.Value, 16, 64)
		v = penstock.BitsValue(penstock.Float64, bits)
	case "int64":
		var n int64
		n, err = strconv.ParseInt(s.Value, 10, 64)
		v = penstock.IntValue(n)
	case "uint64":
		var n uint64
		n, err = strconv.ParseUint(s.Value, 10, 64)
		v = penstock.UintValue(n)
	case "bool":
		var b bool
		b, err = strconv.ParseBool(s.Value)
		v = penstock.BoolValue(b)
	case "text":
		v = penstock.TextValue(s.Value)
	default:
		t.Fatalf("kind %q", s.Kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVectors holds the codec to the frozen examples. When it fails, the code is
// wrong and not the file: reports with these encodings are on disks.
func TestVectors(t *testing.T) {
	for _, v := range readVectors(t).Reports {
		t.Run(v.Name, func(t *testing.T) {
			want, encoding := v.Report.report(t), v.encoding(t)
			if got := link.AppendReport(nil, want); !bytes.Equal(got, encoding) {
				t.Errorf("encoded\n%x, want\n%x", got, encoding)
			}
			var d link.Decoder
			var got penstock.Report
			rest, err := d.Decode(encoding, &got)
			if err != nil || len(rest) != 0 {
				t.Fatalf("decoding left %x and error %v", rest, err)
			}
			sameReport(t, &got, want)
			if f := fmt.Sprintf("%016x", uint64(link.Fingerprint(encoding))); f != v.Fingerprint {
				t.Errorf("fingerprint %s, want %s", f, v.Fingerprint)
			}
		})
	}
}

func TestRefusedVectors(t *testing.T) {
	for _, v := range readVectors(t).Refused {
		t.Run(v.Name, func(t *testing.T) {
			var d link.Decoder
			var r penstock.Report
			_, err := d.Decode(v.encoding(t), &r)
			if err == nil || penstock.CodeOf(err).String() != v.Code {
				t.Fatalf("got error %v of code %v, want code %v", err, penstock.CodeOf(err), v.Code)
			}
			if prefix := fmt.Sprintf("byte %d, %s: ", v.At, v.Field); !strings.HasPrefix(err.Error(), prefix) {
				t.Errorf("error %q does not begin with %q", err, prefix)
			}
		})
	}
}

// TestFormatExample holds the example in FORMAT.md to the first vector.
func TestFormatExample(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	var example string
	for _, line := range regexp.MustCompile(`(?m)^((?:[0-9a-f]{2,} )+) +\S`).FindAllStringSubmatch(string(doc), -1) {
		example += line[1]
	}
	if got, want := fromHex(t, example), readVectors(t).Reports[0].encoding(t); !bytes.Equal(got, want) {
		t.Errorf("the example is\n%x, the vector\n%x", got, want)
	}
}
