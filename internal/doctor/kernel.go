package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// oldestKernel is the first version that is supported.
var oldestKernel = [2]int{5, 4}

func checkConfiguration(_ context.Context, x *examination) []finding {
	name := x.File
	if name == "" {
		name = "the defaults and the environment"
	}
	if x.Problem != nil {
		return finding{trouble: broken, found: x.Problem.Error(), fix: "mend what is named; 'penstock check -c FILE' shows it again. The other checks use what is known without the file"}.one()
	}
	f := fine("%s hold", name)
	if x.File != "" {
		f = fine("%s holds", name)
	}
	if len(x.Warnings) > 0 {
		f.trouble, f.found, f.fix = short, f.found+"; but "+strings.Join(x.Warnings, "; "), "take out or correct what is named"
	}
	return f.one()
}

func checkKernel(_ context.Context, x *examination) []finding {
	release, err := x.read("proc", "sys", "kernel", "osrelease")
	if err != nil {
		return finding{trouble: broken, found: "its version cannot be read: " + err.Error(), fix: "mount proc at /proc"}.one()
	}
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	f := fine("Linux %s", release)
	switch {
	case errA != nil || errB != nil:
		f.trouble, f.found, f.fix = short, "a kernel that calls itself "+release, "the kernel should be Linux 5.4 or newer"
	case a < oldestKernel[0] || a == oldestKernel[0] && b < oldestKernel[1]:
		f.trouble, f.fix = broken, fmt.Sprintf("install a kernel from %d.%d on", oldestKernel[0], oldestKernel[1])
	}
	return f.one()
}

func checkFeatures(_ context.Context, x *examination) []finding {
	dir := existing(x.Data)
	var names, missing []string
	for _, feature := range x.Features {
		names = append(names, feature.Name)
		if err := feature.Try(dir); err != nil {
			missing = append(missing, feature.Name+": "+err.Error())
		}
	}
	if len(missing) > 0 {
		return finding{trouble: broken, found: strings.Join(missing, "; "),
			fix: "use a local ext4 or XFS for " + x.Data + ", make it writable, and let a container's seccomp profile allow these calls"}.one()
	}
	return fine("%s work", strings.Join(names, ", ")).one()
}

// worstClock is how far the clock may be off by the kernel's own word.
const worstClock = time.Second

// notBefore is a time that has passed: a clock before it was never set.
var notBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func checkClock(_ context.Context, x *examination) []finding {
	const how = "run chrony, systemd-timesyncd or another NTP client: 'timedatectl set-ntp true', and 'timedatectl status' shows what came of it"
	now := x.Now()
	if now.Before(notBefore) {
		return finding{trouble: broken, found: "it says " + now.UTC().Format(time.RFC3339) + ", which has long passed", fix: how}.one()
	}
	c, err := x.Clock()
	switch {
	case err != nil:
		return finding{trouble: short, found: "the kernel does not tell of it: " + err.Error(), fix: how}.one()
	case !c.Synchronised:
		f := finding{trouble: short, found: "no time service has it in hand", fix: how}
		if service := x.timeService(); service != "" {
			f.found += ", although there is " + service
			f.fix = "look why " + service + " reaches no server (port 123/udp, DNS); 'timedatectl status' or 'chronyc sources' tells"
		}
		return f.one()
	case c.Error > worstClock:
		return finding{trouble: short, found: fmt.Sprintf("it may be off by %v", c.Error.Round(time.Millisecond)), fix: "take a nearer time server; 'chronyc sources' or 'timedatectl timesync-status' tells of the present one"}.one()
	}
	return fine("synchronised, to within %v", c.Error.Round(time.Microsecond)).one()
}

// timeService returns the name of a time service that runs.
func (m Machine) timeService() string {
	for _, s := range []struct{ file, name string }{
		{"run/chrony", "chrony"}, {"run/systemd/timesync", "systemd-timesyncd"}, {"run/ntpd.pid", "ntpd"}, {"run/openntpd.sock", "openntpd"},
	} {
		if m.exists(s.file) {
			return s.name
		}
	}
	return ""
}
