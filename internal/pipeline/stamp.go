package pipeline

import (
	"context"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/intake"
)

// StampConfig are the settings of the step that gives times: there are none.
type StampConfig struct{}

// Validate returns nil: there is nothing to set.
func (c *StampConfig) Validate() error { return nil }

// stamp gives samples that came without a time the time at which the gateway
// received them. Those of other samples are never touched.
type stamp struct{}

func (stamp) onReport(_ context.Context, _ *passage, item *intake.Item) *fleet.Refusal {
	for i := range item.Report.Samples {
		if s := &item.Report.Samples[i]; isUntimed(s) {
			s.SourceTime = item.Report.ReceivedTime
		}
	}
	return nil
}

// isUntimed tells whether the sample came without a time.
func isUntimed(s *penstock.Sample) bool {
	return s.SourceTime == 0 && s.Flags&penstock.GatewayClock != 0
}
