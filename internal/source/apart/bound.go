package apart

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/penstock/penstock"
)

// softShare is the share of the memory from which on the collector works harder, in
// percent.
const softShare = 80

// Where the kernel tells of this process and is told.
const (
	memoryFile = "/proc/self/statm"
	scoreFile  = "/proc/self/oom_score_adj"
)

// dataField is the place of the pages that the process may write, in memoryFile.
const dataField = 5

// nameFile holds the name under which processes are listed.
const nameFile = "/proc/self/comm"

// sooner makes the kernel end this process before the gateway when the machine has
// no memory left.
const sooner = "500"

// bound bounds the memory of this process. The collector keeps below it where it
// can; at the bound the kernel gives nothing more, and the process dies.
func bound(limit uint64, log *slog.Logger) {
	debug.SetMemoryLimit(int64(limit / 100 * softShare))
	if err := os.WriteFile(scoreFile, []byte(sooner), 0); err != nil {
		log.Debug("the kernel is not told to end the process of the source before the gateway", "error", err)
	}
	_ = os.WriteFile(nameFile, []byte(filepath.Base(os.Args[0])), 0) // it is called exe otherwise
	has, err := writable()
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: has + limit, Max: has + limit})
	}
	if err != nil {
		log.Warn("the kernel does not bound the memory of the source's process; only its collector keeps it small", "limit", limit, "error", err)
	}
}

// writable returns how many bytes of address space the process may write already.
// The runtime has reserved much of that and uses little.
func writable() (uint64, error) {
	text, err := os.ReadFile(memoryFile)
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text)
	if len(fields) <= dataField {
		return 0, penstock.Errorf(penstock.Unsupported, "%s has %d fields", memoryFile, len(fields))
	}
	pages, err := strconv.ParseUint(string(fields[dataField]), 10, 64)
	return pages * uint64(os.Getpagesize()), err
}
