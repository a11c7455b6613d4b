package bom

import "testing"

// ordered are versions as Semantic Versioning 2.0 orders them, and Go's own.
var ordered = []string{
	"0.0.0-20240101000000-abcdefabcdef", "0.0.0", "0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
	"1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.2.2", "1.2.10", "1.10.0", "1.26.0-0", "1.26rc1", "1.26.0", "1.26.8", "1.27rc1", "1.27rc2", "1.27", "2.0.0", "10.0.0", "123456789012345678901234567890.0.0",
}

func TestCompareVersions(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if got := compareVersions(a, b); got != want {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{"v1.2.3", "1.2.3"}, {"1.2.3+incompatible", "1.2.3"}, {"1.27", "1.27.0"}} {
		if compareVersions(same[0], same[1]) != 0 {
			t.Errorf("%s differs from %s", same[0], same[1])
		}
	}
}
