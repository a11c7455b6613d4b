//go:build !plants

package ledger_test

import (
	"testing"

	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/testkit"
)

func TestPlantedBugsAreCaught(t *testing.T) {
	const model = "^TestLedgerAgainstMaps$"
	quick := []string{"-rapid.nofailfile", "-rapid.shrinktime=1s"}
	testkit.CatchPlanted(t,
		testkit.Planted{Bug: string(plant.DuplicateNotWaiting), Test: model, Says: "waiting for", Flags: quick},
		testkit.Planted{Bug: string(plant.WatermarkFromMax), Test: model, Says: "marks", Flags: quick},
		testkit.Planted{Bug: string(plant.AbortKeepsIdentities), Test: model, Flags: quick},
	)
}
