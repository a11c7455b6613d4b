package sim

import (
	"bytes"
	"compress/flate"
	"testing"

	"github.com/penstock/penstock"
)

func TestEmbeddedNetwork(t *testing.T) {
	n, err := town()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, s := range n.stations {
		kinds[s.kind]++
	}
	if n.steps != 1440 || n.step != 60 || kinds["pump station"] != 4 || kinds["tank"] != 3 || kinds["source"] != 2 || kinds["logger"] != 63 {
		t.Errorf("%d steps of %d s, controllers: %v", n.steps, n.step, kinds)
	}
	if len(networkFile) > 400<<10 {
		t.Errorf("the file has %d bytes, more than 400 KiB", len(networkFile))
	}
}

// body returns what a network file holds, uncompressed.
func networkBody(t testing.TB) []byte {
	var b bytes.Buffer
	if _, err := b.ReadFrom(flate.NewReader(bytes.NewReader(networkFile[6:]))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packed(t testing.TB, body []byte) []byte {
	var b bytes.Buffer
	b.WriteString("PSNW\x01\x00")
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNetworkFileIsRefused(t *testing.T) {
	whole := networkBody(t)
	for name, c := range map[string]struct {
		file []byte
		code penstock.Code
	}{
		"empty":         {nil, penstock.Corrupt},
		"another file":  {[]byte("PNG\x00\x00\x00\x00\x00"), penstock.Corrupt},
		"newer version": {[]byte("PSNW\x02\x00"), penstock.Unsupported},
		"new feature":   {[]byte("PSNW\x01\x01"), penstock.Unsupported},
		"cut file":      {networkFile[:len(networkFile)/2], penstock.Corrupt},
		"cut body":      {packed(t, whole[:len(whole)-1]), penstock.Corrupt},
		"longer body":   {packed(t, append(bytes.Clone(whole), 0)), penstock.Corrupt},
		"no stations":   {packed(t, []byte{60, 1, 0}), penstock.Corrupt},
	} {
		if _, err := decodeNetwork(c.file); penstock.CodeOf(err) != c.code || err == nil {
			t.Errorf("%s: got %v, want code %s", name, err, c.code)
		}
	}
}

func FuzzNetwork(f *testing.F) {
	f.Add(networkBody(f)[:2000])
	f.Add([]byte{60, 1, 1, 1, 'a', 0, 1, 1, 'p', 0, 1, 0, 0, 2})
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := parseNetwork(body)
		if err != nil {
			return
		}
		for _, s := range n.stations {
			for _, p := range s.points {
				if len(p.values) != n.steps {
					t.Errorf("%s has %d values of %d", p.name, len(p.values), n.steps)
				}
			}
		}
	})
}

// The shares of mishaps are what was asked for, and a try's fate is always the
// same.
func TestFates(t *testing.T) {
	p := Impairments{Loss: 0.1, Duplicate: 0.2, Reorder: 0.3, Corrupt: 0.01}
	const tries = 200_000
	var lost, unanswered, twice, again, held, damaged float64
	for i := range uint64(tries) {
		f := p.fate(1, i%500, i/500+1, 0, 1000)
		if f != p.fate(1, i%500, i/500+1, 0, 1000) {
			t.Fatal("a try has two fates")
		}
		if p.fate(1, i%500, i/500+1, 1, 1000).hold > 0 {
			t.Fatal("a resend is held back")
		}
		lost += one(f.lost)
		unanswered += one(f.unanswered)
		twice += one(f.twice)
		again += one(f.again > 0)
		held += one(f.hold > 0)
		damaged += one(f.damage != 0)
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"lost", lost, 0.05}, {"unanswered", unanswered, 0.05}, {"twice", twice, 0.1},
		{"again", again, 0.1}, {"held", held, 0.3}, {"damaged", damaged, 0.01},
	} {
		if share := c.got / tries; share < c.want*0.9 || share > c.want*1.1 {
			t.Errorf("%s: %.4f of all tries, not %.4f", c.name, share, c.want)
		}
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func TestDamageAlwaysChanges(t *testing.T) {
	body := []byte(`{"controller":"a","epoch":1,"seq":1,"samples":[]}`)
	unchanged := 0
	for seed := range uint64(10_000) {
		if bytes.Equal(Damage(bytes.Clone(body), seed), body) {
			unchanged++
		}
	}
	if unchanged > 0 {
		t.Errorf("%d of 10000 damaged bodies are as they were", unchanged)
	}
}
