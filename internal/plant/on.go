//go:build plants

package plant

import "os"

// On tells whether the bug is planted in this run: the one that the environment
// variable PENSTOCK_PLANT names.
func (b Bug) On() bool { return os.Getenv("PENSTOCK_PLANT") == string(b) }
