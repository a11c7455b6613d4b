//go:build !plants

package plant

// On tells whether the bug is planted in this run: never, in this build.
func (Bug) On() bool { return false }

// Stall stands still when a stall of the stage is planted, is slow or leaks when that
// is: never, in this build.
func Stall(string) {}
