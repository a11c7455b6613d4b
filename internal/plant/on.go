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
// for a while when it is "slow-" and the name, and keeps some memory for good when
// it is "leak-" and the name.
func Stall(stage string) {
	switch os.Getenv("PENSTOCK_PLANT") {
	case "stall-" + stage:
		select {}
	case "slow-" + stage:
		<-time.After(slow)
	case "leak-" + stage:
		kept := make([]byte, leak)
		time.AfterFunc(time.Hour, func() { kept[0]++ })
	}
}

const (
	slow = 20 * time.Millisecond
	leak = 64 << 10
)
