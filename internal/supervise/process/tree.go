package process

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Usage is what a tree of processes holds.
type Usage struct {
	Processes int
	Resident  int64 // bytes; what they share counts once for each
}

// entry is one process as the kernel lists it.
type entry struct {
	pid, parent int
	resident    int64 // pages
	ended       bool  // waits to be reaped
}

// Usage returns what the tree of each mark holds.
func (k *Keeper) Usage() map[string]Usage {
	usage := map[string]Usage{}
	walk(k.marks(), func(mark string, e entry) {
		u := usage[mark]
		u.Processes++
		u.Resident += e.resident * int64(os.Getpagesize())
		usage[mark] = u
	})
	return usage
}

// walk shows each process below this one that runs, with the mark of its tree,
// or without one when its program took it out of the environment and its parent
// ended. This process is the reaper of all that descends from it, so nobody
// else's process is ever among them.
func walk(marks map[int]string, show func(mark string, e entry)) {
	table, self := list(), os.Getpid()
	for _, e := range table {
		if mark, below := markOf(e, table, marks, self); below && !e.ended {
			show(mark, e)
		}
	}
}

// markOf returns the mark of the tree that a process belongs to: that of the
// started process which it descends from, or else the one in the environment of
// the orphan that it descends from.
func markOf(e entry, table map[int]entry, marks map[int]string, self int) (mark string, below bool) {
	for range len(table) { // a table that changed while it was read could have a ring
		if mark, started := marks[e.pid]; started {
			return mark, true
		}
		if e.parent == self {
			return markIn(environ(e.pid)), true
		}
		parent, ok := table[e.parent]
		if !ok {
			return "", false
		}
		e = parent
	}
	return "", false
}

// MarkName is the variable of the environment that marks a tree.
const MarkName = "SUPERVISE_MARK"

func markIn(environ []byte) string {
	for pair := range bytes.SplitSeq(environ, []byte{0}) {
		if mark, ok := bytes.CutPrefix(pair, []byte(MarkName+"=")); ok {
			return string(mark)
		}
	}
	return ""
}

func environ(pid int) []byte {
	text, err := os.ReadFile(path(pid, "environ"))
	if err != nil {
		return nil // it has just ended, or changed its user: nobody's then
	}
	return text
}

func path(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// list reads the table of processes.
func list() map[int]entry {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	table := make(map[int]entry, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if text, err := os.ReadFile(path(pid, "stat")); err == nil {
			if e, ok := parseStat(pid, string(text)); ok {
				table[pid] = e
			}
		}
	}
	return table
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The name in it may hold
// blanks and brackets: the fields begin behind the last one.
func parseStat(pid int, text string) (entry, bool) {
	const state, parent, resident = 0, 1, 21
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) <= resident {
		return entry{}, false
	}
	e := entry{pid: pid, ended: fields[state] == "Z" || fields[state] == "X"}
	var err error
	if e.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return entry{}, false
	}
	e.resident, err = strconv.ParseInt(fields[resident], 10, 64)
	return e, err == nil
}
