//go:build !plants

package app

import (
	"os"
	"slices"
	"testing"

	"github.com/penstock/penstock/internal/testkit"
)

// A stall in each stage, a slow one and a leak, planted on purpose, are named. The steps of
// the pipeline are watched in one place, so that two of them stand for all unless the
// proofs are asked for at full length.
func TestPlantedStalls(t *testing.T) {
	stages := []string{"decode", "validate", "intake", "spool queue", "spool sync", "delivery read", "record settle"}
	slow := []string{"spool sync"}
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		stages = slices.Concat(stages, []string{"authenticate", "limit", "log", "checksum", "scope", "register", "stamp", "learn", "signal"})
		slow = append(slow, "validate", "delivery read")
	}
	var bugs []testkit.Planted
	for _, stage := range stages {
		bugs = append(bugs, testkit.Planted{Bug: "stall-" + stage, Test: "TestNothingStandsStill", Says: "stands still: " + stage + " in goroutine"})
	}
	for _, stage := range slow {
		bugs = append(bugs, testkit.Planted{Bug: "slow-" + stage, Test: "TestNothingIsSlow", Says: "slowest: " + stage})
	}
	bugs = append(bugs, testkit.Planted{Bug: "leak-stamp", Test: "TestNothingLeaks", Says: "plant.Stall < pipeline.(*stage).run"})
	testkit.CatchPlanted(t, bugs...)
}
