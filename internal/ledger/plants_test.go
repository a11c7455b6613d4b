//go:build !plants

package ledger_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/penstock/penstock/internal/plant"
)

// TestPlantedBugsAreCaught runs the model against a ledger with bugs planted.
func TestPlantedBugsAreCaught(t *testing.T) {
	for _, bug := range []plant.Bug{plant.DuplicateNotWaiting, plant.WatermarkFromMax, plant.AbortKeepsIdentities} {
		cmd := exec.Command("go", "test", "-tags", "plants", "-run", "^TestLedgerAgainstMaps$", ".", "-rapid.nofailfile", "-rapid.shrinktime=1s")
		cmd.Env = append(os.Environ(), "PENSTOCK_PLANT="+string(bug))
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%s is not caught:\n%s", bug, out)
		}
	}
}
