//go:build plants

package plant

import (
	"os"
	"time"
)

// On tells whether the bug is planted in this run: the one that the environment
// variable PENSTOCK_PLANT names.
func (b Bug) On() bool { return os.Getenv("PENSTOCK_PLANT") == string(b) }

// Stall stands still for ever when PENSTOCK_PLANT is "stall-" and the stage's name,
// and for a while when it is "slow-" and the name.
func Stall(stage string) {
	switch os.Getenv("PENSTOCK_PLANT") {
	case "stall-" + stage:
		select {}
	case "slow-" + stage:
		<-time.After(slow)
	}
}

const slow = 20 * time.Millisecond
