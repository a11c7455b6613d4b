package wire

import (
	"fmt"
	"os"
	"syscall"
)

// Program is what a process starts to have another of its own build: not the
// name of its file, under which a newer one may stand by now, but the file that it
// runs.
const Program = "/proc/self/exe"

// Build names the build of this process: the file that it runs.
func Build() (string, error) {
	info, err := os.Stat(Program)
	if err != nil {
		return "", err
	}
	id := fmt.Sprintf("%d bytes of %d", info.Size(), info.ModTime().UnixNano())
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		id += fmt.Sprintf(" at %d/%d", s.Dev, s.Ino)
	}
	return id, nil
}
