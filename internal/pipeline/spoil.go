//go:build !race

package pipeline

import "github.com/penstock/penstock"

// spoil does nothing in the builds that people run.
func spoil(*penstock.Report) {}
