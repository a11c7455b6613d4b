//go:build !plants

package plant

// On tells whether the bug is planted in this run: never, in this build.
func (Bug) On() bool { return false }
