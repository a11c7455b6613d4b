package doctor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

// What is recommended of a machine.
const (
	enoughCPUs      = 2
	enoughMemory    = 4 << 30
	leastMemory     = 512 << 20
	leastFiles      = 1024
	filesOfTheStore = 2000 // of the store, the spool and the sources
)

func checkProcessors(_ context.Context, x *examination) []finding {
	f := fine("%d usable at once", x.CPUs)
	if limit, from, ok := x.cgroupCPUs(); ok {
		f = fine("%d usable at once; the control group allows %.4g (%s)", x.CPUs, limit, from)
	}
	if x.CPUs < enoughCPUs {
		f.trouble, f.fix = short, "give the machine, or the unit (CPUQuota=), 2 processors"
	}
	return f.one()
}

func checkMemory(_ context.Context, x *examination) []finding {
	total, err := x.totalMemory()
	if err != nil {
		return finding{trouble: short, found: "unknown: " + err.Error(), fix: "mount proc at /proc"}.one()
	}
	f, usable := fine("%s", bytes(total)), total
	if limit, from, ok := x.cgroupMemory(); ok && limit < total {
		f, usable = fine("%s of %s, as the control group allows (%s)", bytes(limit), bytes(total), from), limit
	}
	switch {
	case usable < leastMemory:
		f.trouble, f.fix = broken, "give the machine, or the unit (MemoryMax=), at least 512 MiB, better 4 GiB"
	case usable < enoughMemory*9/10: // the kernel keeps some of what was built in
		f.trouble, f.fix = short, "4 GiB are recommended; with less keep queries short and link.connections low"
	}
	return f.one()
}

func (m Machine) totalMemory() (uint64, error) {
	text, err := m.read("proc", "meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 53)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no MemTotal")
}

// cgroupMemory returns the least limit of memory on the way from this process's
// control group to the root, and the file that has it.
func (m Machine) cgroupMemory() (limit uint64, from string, ok bool) {
	limit = 1 << 62 // the first version writes about that for none
	m.eachCgroup("memory", "memory.max", "memory.limit_in_bytes", func(file, text string) {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil && n < limit {
			limit, from, ok = n, file, true
		}
	})
	return limit, from, ok
}

// cgroupCPUs returns the least limit of processor time, in processors.
func (m Machine) cgroupCPUs() (limit float64, from string, ok bool) {
	m.eachCgroup("cpu", "cpu.max", "", func(file, text string) {
		quota, period, found := strings.Cut(text, " ")
		q, errQ := strconv.ParseFloat(quota, 64)
		p, errP := strconv.ParseFloat(period, 64)
		if !found || errQ != nil || errP != nil || p <= 0 {
			return // "max"
		}
		if n := q / p; !ok || n < limit {
			limit, from, ok = n, file, true
		}
	})
	return limit, from, ok
}

// eachCgroup calls visit with the content of a file of each control group from
// this process's up to the root, in the second version or the first.
func (m Machine) eachCgroup(controller, second, first string, visit func(file, text string)) {
	groups, err := m.read("proc", "self", "cgroup")
	if err != nil {
		return
	}
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		dir, file := "sys/fs/cgroup", second
		if parts[1] != "" {
			if parts[1] != controller || first == "" {
				continue
			}
			dir, file = "sys/fs/cgroup/"+controller, first
		}
		for at := path.Clean("/" + parts[2]); ; at = path.Dir(at) {
			name := path.Join("/", dir, at, file)
			if text, err := m.read(name); err == nil {
				visit(name, text)
			}
			if at == "/" {
				break
			}
		}
	}
}

func checkOpenFiles(_ context.Context, x *examination) []finding {
	limit, whose := uint64(0), "this shell's"
	if pid := x.gateway(); pid != 0 {
		limit, whose = x.filesOf(pid), fmt.Sprintf("that of the running gateway, process %d", pid)
	}
	if limit == 0 {
		var err error
		if limit, err = x.Files(); err != nil {
			return finding{trouble: short, found: "unknown: " + err.Error(), fix: "see ulimit -Hn"}.one()
		}
		whose = "this shell's"
	}
	need := uint64(x.Clients + filesOfTheStore)
	f := fine("%d at once, %s", limit, whose)
	switch {
	case limit < leastFiles:
		f.trouble, f.fix = broken, "raise the limit: LimitNOFILE=1048576 in the unit, or 'ulimit -Hn 1048576' before the start"
	case limit < need:
		f.trouble = short
		f.fix = fmt.Sprintf("the configuration allows %d connections: LimitNOFILE=1048576 in the unit, or 'ulimit -Hn 1048576' before the start", x.Clients)
	}
	return f.one()
}

// filesOf returns the limit of open files of a process, 0 when it is not told.
func (m Machine) filesOf(pid int) uint64 {
	f, err := os.Open(m.path("proc", strconv.Itoa(pid), "limits"))
	if err != nil {
		return 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "Max open files"); ok {
			if fields := strings.Fields(rest); len(fields) > 1 {
				n, err := strconv.ParseUint(fields[1], 10, 64)
				if err == nil {
					return n
				}
			}
		}
	}
	return 0
}

func checkSizes(_ context.Context, x *examination) []finding {
	var found []finding
	for _, s := range x.Sizes {
		f := fine("%s: %s", s.Value, s.Reason)
		f.name = s.Name
		found = append(found, f)
	}
	return found
}
