//go:build plants

package historian_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/penstock/penstock/internal/plant"
)

// TestPlantedBugIsCaught sees that the crash test fails when the position is
// written before the samples.
func TestPlantedBugIsCaught(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashLosesAndDoublesNothing$", "-rapid.shrinktime=1s", "-rapid.nofailfile")
	cmd.Env = append(os.Environ(), "PENSTOCK_PLANT="+string(plant.CursorBeforeData))
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("the crash test passes with the bug:\n%s", out)
	}
}
