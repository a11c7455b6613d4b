//go:build !plants

package spool_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/plant"
)

// TestPlantedBugsAreCaught builds this suite once with bugs planted and shows
// that each of them is caught by the test named, which passes without it.
func TestPlantedBugsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the suite a second time")
	}
	suite := filepath.Join(t.TempDir(), "suite")
	if out, err := exec.Command("go", "test", "-c", "-tags", "plants", "-o", suite, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	const crash = "^TestCrashAtEveryOperation$/"
	for _, tc := range []struct {
		bug  plant.Bug
		test string
		says string
	}{
		{plant.AckBeforeFsync, crash + "^append$", "crash after operation"},
		{plant.NoDirectoryFsync, crash + "^append$", "crash after operation"},
		{plant.RetryAfterFsync, crash + "^failed_fsync$", "crash after operation"},
		{plant.CutAtFirstBad, "^TestTortureEveryBitFlipped$", "bit"},
		{plant.DeleteUnreadable, "^TestRefusesWhatIsNotWhole$", "error <nil>"},
		{plant.AppendToOld, "^TestOldSegmentsAreNotTouched$", "was changed"},
		{plant.RefusedTailReplayed, crash + "^failed_fsync$", "crash after operation"},
		{plant.TailNotRewritten, crash + "^append$", "crash after operation"},
		{plant.SnapshotAfterUnlink, crash + "^snapshot_and_release$", "snapshot"},
	} {
		t.Run(string(tc.bug), func(t *testing.T) {
			t.Parallel()
			for _, planted := range []bool{true, false} {
				cmd := exec.Command(suite, "-test.run", tc.test)
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
