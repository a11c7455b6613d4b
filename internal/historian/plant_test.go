//go:build !plants

package historian_test

import (
	"testing"

	"github.com/penstock/penstock/internal/plant"
	"github.com/penstock/penstock/internal/testkit"
)

func TestPlantedBugsAreCaught(t *testing.T) {
	testkit.CatchPlanted(t, testkit.Planted{
		Bug: string(plant.CursorBeforeData), Test: "^TestCrashLosesAndDoublesNothing$",
		Flags: []string{"-rapid.nofailfile", "-rapid.shrinktime=1s"},
	})
}
