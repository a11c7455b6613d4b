//go:build !plants

package spool_test

import (
	"testing"

	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/testkit"
)

func TestPlantedBugsAreCaught(t *testing.T) {
	const crash = "^TestCrashAtEveryOperation$/"
	testkit.CatchPlanted(t,
		testkit.Planted{Bug: string(plant.AckBeforeFsync), Test: crash + "^append$", Says: "crash after operation"},
		testkit.Planted{Bug: string(plant.NoDirectoryFsync), Test: crash + "^append$", Says: "crash after operation"},
		testkit.Planted{Bug: string(plant.RetryAfterFsync), Test: crash + "^failed_fsync$", Says: "crash after operation"},
		testkit.Planted{Bug: string(plant.CutAtFirstBad), Test: "^TestTortureEveryBitFlipped$", Says: "bit"},
		testkit.Planted{Bug: string(plant.DeleteUnreadable), Test: "^TestRefusesWhatIsNotWhole$", Says: "error <nil>"},
		testkit.Planted{Bug: string(plant.AppendToOld), Test: "^TestOldSegmentsAreNotTouched$", Says: "was changed"},
		testkit.Planted{Bug: string(plant.RefusedTailReplayed), Test: crash + "^failed_fsync$", Says: "crash after operation"},
		testkit.Planted{Bug: string(plant.TailNotRewritten), Test: crash + "^append$", Says: "crash after operation"},
		testkit.Planted{Bug: string(plant.SnapshotAfterUnlink), Test: crash + "^snapshot_and_release$", Says: "snapshot"},
	)
}
