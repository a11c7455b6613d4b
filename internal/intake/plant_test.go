//go:build !plants

package intake_test

import (
	"testing"

	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/testkit"
)

func TestPlantedBugsAreCaught(t *testing.T) {
	testkit.CatchPlanted(t,
		testkit.Planted{
			Bug: string(plant.AbortKeepsIdentities), Test: "^TestAFailedCommitTakesItsIdentitiesBack$",
			Says: "the resend of what was not made durable",
		},
		testkit.Planted{Bug: string(plant.WatermarkFromMax), Test: "^TestTheWatermarkHasNoGap$", Says: "seq 2 is missing"},
		testkit.Planted{Bug: string(plant.BooksNotInCommit), Test: "^TestReportsAreAcceptedOnce$", Says: "after a restart"},
	)
}
