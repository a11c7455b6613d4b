package doctor

import (
	"context"
	"fmt"
)

// Status says whether something must be done.
type Status string

// The states of a check.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, not as well as it should
	Fail Status = "fail" // it does not work, or what is promised does not hold
)

// Check is what one check found.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Why    string `json:"why"` // why it matters
	Fix    string `json:"fix"` // what to do; empty when nothing is
}

// Report is what all checks found.
type Report struct {
	Checks []Check `json:"checks"`
}

// Count returns how many checks have the status.
func (r Report) Count(s Status) int {
	n := 0
	for _, c := range r.Checks {
		if c.Status == s {
			n++
		}
	}
	return n
}

// Impacts say how much hangs on a part, from 1 to 10. What is broken in a part of
// impact serious or above is a failure, below it a warning.
const (
	impactRuntime  = 10
	impactAPI      = 9
	impactManager  = 9
	impactDatabase = 8
	impactBroker   = 7
	impactLogging  = 6
	impactHealth   = 5

	serious = 7
)

// trouble is how far something is from what it should be.
type trouble uint8

const (
	none   trouble = iota
	short          // it works, below what is recommended
	broken         // it does not work
)

func (t trouble) status(impact int) Status {
	switch {
	case t == none:
		return OK
	case t == broken && impact >= serious:
		return Fail
	}
	return Warn
}

// finding is what a check has found of one thing. A name that is empty is that of
// the check.
type finding struct {
	name    string
	trouble trouble
	found   string
	fix     string
}

// fine returns the finding that nothing is wrong.
func fine(format string, args ...any) finding {
	return finding{found: fmt.Sprintf(format, args...)}
}

func (f finding) one() []finding { return []finding{f} }

// check is one thing that is looked at.
type check struct {
	name   string
	impact int
	why    string
	run    func(context.Context, *examination) []finding
}

// examination is what the checks look at.
type examination struct {
	Machine
	Subject
	measured *measurement // of the disk; nil before
}

// checks are all checks, in the order in which they are shown: first what
// everything else stands on.
var checks = []check{
	{"configuration", impactRuntime, "the gateway starts only with a configuration that holds", checkConfiguration},
	{"kernel", impactRuntime, "Linux 5.4 is the oldest kernel that is supported; older ones lack pidfd, and fixes to fsync error reporting", checkKernel},
	{"features", impactRuntime, "the data directory is locked, its files are laid out ahead, and processes are told apart, by these calls", checkFeatures},
	{"processors", impactRuntime, "2 processors carry 5,000 controllers; with fewer the acknowledgements come later", checkProcessors},
	{"memory", impactRuntime, "the gateway with 5,000 controllers needs 512 MiB; 4 GiB leave room for queries and for the page cache", checkMemory},
	{"open files", impactRuntime, "each connection of a controller is an open file; without one it is refused", checkOpenFiles},
	{"clock", impactAPI, "certificates and the times of samples are judged by this clock; without synchronisation skew is blamed on controllers", checkClock},
	{"account", impactRuntime, "a fault in a gateway that runs as root is a fault of the whole machine", checkAccount},
	{"data directory", impactRuntime, "all that was acknowledged lies there; strangers must neither read nor change it", checkDataDirectory},
	{"keys", impactDatabase, "who has the key-encryption key beside the data can read all of it; without the key nobody can", checkKeys},
	{"disk space", impactDatabase, "when the disk is full new reports are refused", checkSpace},
	{"file system", impactDatabase, "an acknowledgement is a promise that the disk keeps; some file systems cannot", checkFileSystem},
	{"disk sync", impactDatabase, "each acknowledgement waits for one write and sync: NVMe storage takes under 1 ms", checkSync},
	{"disk throughput", impactLogging, "after an outage the backlog comes at the speed of the disk, and logs share it", checkThroughput},
	{"network card", impactAPI, "all controllers come through it; one that negotiated 100 Mb/s or half duplex loses packets under load", checkCards},
	{"ports", impactAPI, "a port that another program holds cannot be listened on", checkPorts},
	{"tls", impactAPI, "with an expired or unreadable certificate every controller is refused", checkTLS},
	{"dns", impactDatabase, "peers are found by their names", checkDNS},
	{"peers", impactBroker, "what cannot be reached sends nothing and takes nothing", checkPeers},
	{"process manager", impactManager, "a gateway that ended is started again only by systemd or penstock supervise", checkManager},
	{"logging", impactLogging, "at 2 a.m. the log is what there is", checkLogging},
	{"health", impactHealth, "a load balancer asks there whether an acknowledgement is possible", checkHealth},
	{"sizes", impactRuntime, "what the gateway takes of this machine", checkSizes},
}

// Examine makes all checks. It goes on when one cannot be made, and ends early
// only with ctx.
func Examine(ctx context.Context, m Machine, s Subject) Report {
	report := Report{Checks: []Check{}}
	x := &examination{Machine: m, Subject: s}
	for _, c := range checks {
		for _, f := range c.run(ctx, x) {
			name := c.name
			if f.name != "" {
				name += " " + f.name
			}
			report.Checks = append(report.Checks, Check{Name: name, Status: f.trouble.status(x.impactOf(c, f)), Found: f.found, Why: c.why, Fix: f.fix})
		}
	}
	return report
}

// impactOf returns the impact of what a finding is about: peers have their own.
func (x *examination) impactOf(c check, f finding) int {
	for _, p := range x.Peers {
		if c.name == "peers" && p.Key == f.name && p.Impact > 0 {
			return p.Impact
		}
	}
	return c.impact
}
