//go:build !plants

package intake_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/plant"
)

// TestPlantedBugsAreCaught builds this suite with bugs planted and shows that
// each is caught by the test named, which passes without it.
func TestPlantedBugsAreCaught(t *testing.T) {
	suite := filepath.Join(t.TempDir(), "suite")
	if out, err := exec.Command("go", "test", "-c", "-tags", "plants", "-o", suite, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, tc := range []struct {
		bug  plant.Bug
		test string
		says string
	}{
		{plant.AbortKeepsIdentities, "TestAFailedCommitTakesItsIdentitiesBack", "the resend of what was not made durable"},
		{plant.WatermarkFromMax, "TestTheWatermarkHasNoGap", "seq 2 is missing"},
		{plant.BooksNotInCommit, "TestReportsAreAcceptedOnce", "after a restart"},
	} {
		t.Run(string(tc.bug), func(t *testing.T) {
			for _, planted := range []bool{true, false} {
				cmd := exec.Command(suite, "-test.run", "^"+tc.test+"$")
				if planted {
					cmd.Env = append(os.Environ(), "PENSTOCK_PLANT="+string(tc.bug))
				}
				out, err := cmd.CombinedOutput()
				if planted != (err != nil) || planted && !strings.Contains(string(out), tc.says) {
					t.Fatalf("planted %v: %v, and it does not say %q:\n%s", planted, err, tc.says, out)
				}
			}
		})
	}
}
