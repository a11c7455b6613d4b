package link_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"testing"

	"github.com/penstock/penstock/link"
)

// frameVector mirrors testdata/vectors/frames.json and refused.json.
type frameVector struct {
	Name     string    `json:"name"`
	Frame    string    `json:"frame"`
	Limit    int       `json:"limit"`
	Error    string    `json:"error"`
	Kind     link.Kind `json:"kind"`
	Features byte      `json:"features"`
	Address  uint16    `json:"address"`
	Payload  string    `json:"payload"`
	Message  any       `json:"message"`
}

type frameVectors struct {
	Frames  []frameVector `json:"frames"`
	Refused []frameVector `json:"refused"`
}

func readFrameVectors(t testing.TB, name string) frameVectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var v frameVectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// fields is a message as the vectors have it.
type fields map[string]any

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
func signed(n int64) string   { return strconv.FormatInt(n, 10) }

func signalFields(signals []link.Signal) any {
	all := []any{}
	for _, s := range signals {
		all = append(all, []any{s.Kind, s.Tenths})
	}
	return all
}

// describe returns the fields of a message that was decoded.
func describe(m message) fields {
	switch m := m.(type) {
	case *link.Hello:
		return fields{
			"oldest": m.Oldest, "newest": m.Newest, "features": decimal(m.Features), "controller": m.Controller,
			"epoch": decimal(m.Epoch), "token": m.Token, "client": m.Client, "signals": signalFields(m.Signals),
		}
	case *link.Welcome:
		return fields{
			"version": m.Version, "features": decimal(m.Features), "flags": m.Flags, "epoch": decimal(m.Epoch),
			"last_epoch": decimal(m.LastEpoch), "last_boot": decimal(m.LastBoot), "accepted": decimal(m.Accepted),
			"committed": decimal(m.Committed), "time": signed(m.Time), "window": decimal(m.Window),
			"largest": decimal(m.Largest), "heartbeat_ms": signed(m.Heartbeat.Milliseconds()),
		}
	case *link.Ack:
		ranges := []any{}
		for _, r := range m.Ranges[:m.Count] {
			ranges = append(ranges, []string{decimal(r.First), decimal(r.Last)})
		}
		return fields{
			"epoch": decimal(m.Epoch), "accepted": decimal(m.Accepted), "committed": decimal(m.Committed),
			"window": decimal(m.Window), "ranges": ranges,
		}
	case *link.Refusal:
		about := 1
		if m.Session {
			about = 0
		}
		return fields{
			"about": about, "epoch": decimal(m.Epoch), "seq": decimal(m.Seq), "verdict": m.Verdict,
			"reason": m.Reason, "retry_ms": signed(m.Retry.Milliseconds()), "text": m.Text,
		}
	case *link.Heartbeat:
		return fields{"newest": decimal(m.Newest), "waiting": decimal(m.Waiting), "signals": signalFields(m.Signals)}
	case *link.TimeRequest:
		return fields{"t1": signed(m.T1)}
	case *link.TimeAnswer:
		return fields{"t1": signed(m.T1), "t2": signed(m.T2), "t3": signed(m.T3)}
	case *link.Turn:
		return fields{"budget": decimal(m.Budget)}
	case *link.Over:
		return fields{"waiting": decimal(m.Waiting)}
	case *link.Bye:
		return fields{"reason": m.Reason, "retry_ms": signed(m.Retry.Milliseconds())}
	}
	return nil
}

// describeData returns the heads of the reports in a data frame.
func describeData(t *testing.T, payload []byte) fields {
	heads := []any{}
	for len(payload) > 0 {
		h, err := link.ReadHead(payload)
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, fields{"controller": string(h.Controller), "epoch": decimal(h.Identity.Epoch), "seq": decimal(h.Identity.Seq)})
		payload = payload[h.Size:]
	}
	return fields{"reports": heads}
}

// TestFrameVectors holds the codec to the frozen examples. When it fails, the code
// is wrong and not the file: controllers that speak so are in the field.
func TestFrameVectors(t *testing.T) {
	for _, v := range readFrameVectors(t, "frames.json").Frames {
		t.Run(v.Name, func(t *testing.T) {
			b := fromHex(t, v.Frame)
			f, size, err := link.NextFrame(b, link.MaxPayload)
			if err != nil || size != len(b) {
				t.Fatalf("size %d of %d, error %v", size, len(b), err)
			}
			if want := (link.Frame{Kind: v.Kind, Features: v.Features, Address: v.Address, Payload: fromHex(t, v.Payload)}); !reflect.DeepEqual(f, want) {
				t.Errorf("the frame is %+v, want %+v", f, want)
			}
			header := link.Header{Features: v.Features, Address: v.Address}
			again := link.AppendData(nil, header, f.Payload)
			got := fields{}
			if m := emptyMessage(f.Kind); m != nil {
				if err := m.Decode(f.Payload); err != nil {
					t.Fatal(err)
				}
				got, again = describe(m), m.Append(nil, header)
			} else {
				got = describeData(t, f.Payload)
			}
			if !bytes.Equal(again, b) {
				t.Errorf("encoded again it is\n%x, not\n%x", again, b)
			}
			if got, want := asJSON(t, got), asJSON(t, v.Message); got != want {
				t.Errorf("the message is\n%s, want\n%s", got, want)
			}
		})
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRefusedFrameVectors(t *testing.T) {
	for _, v := range readFrameVectors(t, "refused.json").Refused {
		t.Run(v.Name, func(t *testing.T) {
			if v.Limit == 0 {
				v.Limit = link.MaxPayload
			}
			f, size, err := link.NextFrame(fromHex(t, v.Frame), v.Limit)
			if err == nil && size > 0 {
				err = emptyMessage(f.Kind).Decode(f.Payload)
			}
			got := string(link.FaultOf(err))
			if err == nil && size == 0 {
				got = "short"
			}
			if got != v.Error {
				t.Errorf("error %q (%v), want %q", got, err, v.Error)
			}
		})
	}
}

// TestProtocolExample holds the example in the specification to its vector.
func TestProtocolExample(t *testing.T) {
	doc, err := os.ReadFile("../docs/link-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	var example string
	for _, line := range regexp.MustCompile(`(?m)^((?:[0-9a-f]{2} )+) +\S`).FindAllStringSubmatch(string(doc), -1) {
		example += line[1]
	}
	for _, v := range readFrameVectors(t, "frames.json").Frames {
		if v.Name == "over: the example of the specification" && bytes.Equal(fromHex(t, example), fromHex(t, v.Frame)) {
			return
		}
	}
	t.Errorf("the example %s is not that of the vectors", example)
}

// TestVectorsKnowEveryFault wants an example of each fault of a frame.
func TestVectorsKnowEveryFault(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range readFrameVectors(t, "refused.json").Refused {
		seen[v.Error] = true
	}
	for _, fault := range []link.Fault{
		"short", link.FaultHeader, link.FaultVersion, link.FaultLength, link.FaultFeature,
		link.FaultChecksum, link.FaultVariant, link.FaultKind, link.FaultPayload,
	} {
		if !seen[string(fault)] {
			t.Errorf("no vector is refused for %s", fault)
		}
	}
}

func FuzzFrames(f *testing.F) {
	for _, name := range []string{"frames.json", "refused.json"} {
		all := readFrameVectors(f, name)
		for _, v := range append(all.Frames, all.Refused...) {
			f.Add(fromHex(f, v.Frame), false)
			f.Add(fromHex(f, v.Frame), true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend { // so that what lies behind the checks is reached
			b = reseal(bytes.Clone(b))
		}
		got, size, err := link.NextFrame(b, 4096)
		if err != nil || size == 0 {
			return
		}
		if again := link.AppendFrame(nil, got); !bytes.Equal(again, b[:size]) {
			t.Fatalf("%x was read, and is %x when written", b[:size], again)
		}
		m := emptyMessage(got.Kind)
		if m == nil || m.Decode(got.Payload) != nil {
			return
		}
		if again := m.Append(nil, link.Header{Features: got.Features, Address: got.Address}); !bytes.Equal(again, b[:size]) {
			t.Fatalf("%x was read as %+v, and is %x when written", b[:size], m, again)
		}
	})
}
