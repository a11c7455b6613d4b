package pgtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU returns the processor time of the server since it came up: that of its first
// process, of the children that have ended, and of those that run; 0 while it is down.
func (s *Server) CPU() (time.Duration, error) {
	if s.process == nil {
		return 0, nil
	}
	first := strconv.Itoa(s.process.Process.Pid)
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		own := filepath.Base(filepath.Dir(file)) == first
		if len(fields) < 15 || !own && fields[1] != first {
			continue
		}
		counted := fields[11:13]
		if own {
			counted = fields[11:15]
		}
		for _, f := range counted {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", file, err)
			}
			ticks += n
		}
	}
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}
