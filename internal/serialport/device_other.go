//go:build !linux

package serialport

import "github.com/penstock/penstock"

func openDevice(c *Config) (device, error) {
	return nil, penstock.Errorf(penstock.Unsupported, "cannot open %s: this build knows serial lines on Linux only", c.Device)
}
