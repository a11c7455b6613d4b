//go:build !linux

package serialport

import (
	"os"

	"github.com/penstock/penstock"
)

// OpenPair says that there are no simulated lines here.
func OpenPair() (near, far *os.File, device string, err error) {
	return nil, nil, "", penstock.Errorf(penstock.Unsupported, "simulated serial lines work on Linux only")
}
