package opcua_test

import (
	"math"
	"testing"

	"github.com/penstock/penstock/internal/source/opcua"
)

// A sequence number is never 0: after the largest comes 1 (OPC 10000-4, 7.25).
func TestSequenceNumbersRollOver(t *testing.T) {
	for _, c := range []struct {
		seq, expected uint32
		ahead         bool
	}{
		{1, 1, false}, {2, 1, true}, {1, 2, false}, {math.MaxUint32, math.MaxUint32, false}, {1, math.MaxUint32, true}, {math.MaxUint32, 1, false},
	} {
		if got := opcua.Ahead(c.seq, c.expected); got != c.ahead {
			t.Errorf("%d is ahead of %d: %v", c.seq, c.expected, got)
		}
	}
	if opcua.Follows(math.MaxUint32) != 1 || opcua.Follows(1) != 2 {
		t.Error("the number after the largest is not 1")
	}
}
