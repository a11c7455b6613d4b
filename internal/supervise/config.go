package supervise

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/supervise/capture"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
	"github.com/penstock/penstock/internal/supervise/socket"
)

// Config is what a manager runs, and how.
type Config struct {
	Runtime  string             `yaml:"runtime,omitempty" jsonschema_description:"directory of the control socket; one for each manager"`
	Log      Log                `yaml:"log" jsonschema_description:"where the lines go that the programs print"`
	Programs map[string]Program `yaml:"programs" jsonschema_description:"the programs, by name"`
}

// Log says where the lines go that the programs print.
type Log struct {
	To      string           `yaml:"to" jsonschema_description:"stdout, files, syslog, journal or none; penstock supervise logs shows the latest lines in any case"`
	Level   capture.Severity `yaml:"level" jsonschema_description:"least severity that is kept: debug, info, notice, warning, err, crit, alert or emerg"`
	Dir     string           `yaml:"dir,omitempty" jsonschema_description:"files: the directory"`
	MaxSize config.Size      `yaml:"max_size" jsonschema_description:"files: a file of this size is moved aside"`
	Keep    int              `yaml:"keep" jsonschema_description:"files: how many of those are kept"`
	Address string           `yaml:"address" jsonschema_description:"syslog: unix:/path, udp:host:port or tcp:host:port"`
}

// Program is one program.
type Program struct {
	Command      []string          `yaml:"command" jsonschema_description:"the program and its arguments; there is no shell"`
	Directory    string            `yaml:"directory,omitempty" jsonschema_description:"where it runs"`
	Environment  map[string]string `yaml:"environment,omitempty" jsonschema_description:"variables beside those of the manager"`
	Instances    int               `yaml:"instances" jsonschema_description:"how many processes of it run side by side on the same sockets; 0 is one a core"`
	Listen       []string          `yaml:"listen,omitempty" jsonschema_description:"sockets that it inherits from descriptor 3 on: [NAME=][tcp:|udp:|unix:]ADDRESS"`
	Restart      lifecycle.Restart `yaml:"restart" jsonschema_description:"always, on-failure or never"`
	Ready        string            `yaml:"ready" jsonschema_description:"notify: it says so itself (READY=1); auto: it says so, or it has run for a second"`
	Overlap      bool              `yaml:"overlap" jsonschema_description:"its successor starts beside it; false for programs of which there must never be two"`
	StartTimeout config.Duration   `yaml:"start_timeout" jsonschema_description:"how long it may take until it is ready"`
	StopTimeout  config.Duration   `yaml:"stop_timeout" jsonschema_description:"how long it may take to end; then it is killed"`
	StopSignal   string            `yaml:"stop_signal" jsonschema_description:"signal that asks it to end"`
	Watchdog     config.Duration   `yaml:"watchdog,omitempty" jsonschema_description:"longest time without WATCHDOG=1 from it; then it is aborted and started again"`
	Memory       config.Size       `yaml:"memory,omitempty" jsonschema_description:"most memory that it and its children may hold; then it is stopped and started again"`
	GiveUp       GiveUp            `yaml:"give_up" jsonschema_description:"when to stop trying"`
}

// GiveUp is the rule by which a program is given up.
type GiveUp struct {
	Failures int             `yaml:"failures" jsonschema_description:"more ends than these, that nobody asked for"`
	Within   config.Duration `yaml:"within" jsonschema_description:"within this time"`
}

// The values of [Program.Ready].
const (
	ReadyAuto   = "auto"
	ReadyNotify = "notify"
)

// The pace of restarts.
const (
	settle        = time.Second
	firstDelay    = 100 * time.Millisecond
	longestDelay  = 30 * time.Second
	stable        = 10 * time.Second
	maxInstances  = 256
	maxPrograms   = 64
	maxSockets    = 64
	maxStopSignal = 31

	shortestWatchdog = 100 * time.Millisecond
)

// DefaultConfig has no program.
func DefaultConfig() Config {
	return Config{
		Log:      Log{To: "stdout", Level: capture.Debug, MaxSize: 10 << 20, Keep: 5, Address: "unix:/dev/log"},
		Programs: map[string]Program{},
	}
}

// SetDefaults sets what is not zero by default.
func (p *Program) SetDefaults() {
	*p = Program{
		Instances: 1, Restart: lifecycle.Always, Ready: ReadyAuto, Overlap: true, StopSignal: "TERM",
		StartTimeout: config.Duration(90 * time.Second), StopTimeout: config.Duration(30 * time.Second),
		GiveUp: GiveUp{Failures: 10, Within: config.Duration(5 * time.Minute)},
	}
}

// Validate refuses a configuration that runs nothing.
func (c *Config) Validate() error {
	if len(c.Programs) == 0 || len(c.Programs) > maxPrograms {
		return penstock.Errorf(penstock.Invalid, "programs: needs 1 to %d programs", maxPrograms)
	}
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Programs)) {
		if !programName.MatchString(name) || name == managerName {
			return penstock.Errorf(penstock.Invalid, "programs.%s: a name has 1 to 40 letters, digits, '-', '_' and '.', and is not %q", name, managerName)
		}
		for _, text := range c.Programs[name].Listen {
			spec, err := socket.Parse(text)
			if err != nil || strings.HasSuffix(spec.Address, ":0") {
				continue // the program says so itself; and port 0 is another each time
			}
			at := spec.Network + ":" + spec.Address
			if other := taken[at]; other != "" {
				return penstock.Errorf(penstock.Invalid, "programs.%s.listen: %s is listened on by %s already", name, at, other)
			}
			taken[at] = name
		}
	}
	return nil
}

// managerName is what the manager's own lines are marked with.
const managerName = "supervise"

var programName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// Validate refuses destinations that are not known or lack something.
func (l *Log) Validate() error {
	switch l.To {
	case "stdout", "none", "journal":
	case "files":
		if l.Dir == "" {
			return penstock.Errorf(penstock.Invalid, "dir: files need a directory")
		}
	case "syslog":
		if _, err := capture.NewSyslog(l.Address, time.Now); err != nil {
			return penstock.Errorf(penstock.Invalid, "address: %w", err)
		}
	default:
		return penstock.Errorf(penstock.Invalid, "to: %q is none of stdout, files, syslog, journal and none", l.To)
	}
	if l.MaxSize < 64<<10 || l.Keep < 0 || l.Keep > 1000 {
		return penstock.Errorf(penstock.Invalid, "max_size: is at least 64KiB, and keep from 0 to 1000")
	}
	return nil
}

// Validate refuses what cannot be run so.
func (p *Program) Validate() error {
	var problems []error
	for _, rule := range []struct {
		holds bool
		says  string
	}{
		{len(p.Command) > 0 && p.Command[0] != "", "command: names no program"},
		{p.Instances >= 0 && p.Instances <= maxInstances, fmt.Sprintf("instances: is from 0 to %d", maxInstances)},
		{slices.Contains([]lifecycle.Restart{lifecycle.Always, lifecycle.OnFailure, lifecycle.Never}, p.Restart), "restart: is one of always, on-failure and never"},
		{p.Ready == ReadyAuto || p.Ready == ReadyNotify, "ready: is auto or notify"},
		{p.StartTimeout > 0, "start_timeout: needs to be positive"},
		{p.StopTimeout > 0, "stop_timeout: needs to be positive"},
		{p.Watchdog == 0 || p.Watchdog.Std() >= shortestWatchdog, "watchdog: is at least 100ms, or 0 for none"},
		{p.Memory == 0 || p.Memory >= 1<<20, "memory: is at least 1MiB, or 0 for any"},
		{p.GiveUp.Failures >= 0 && p.GiveUp.Within > 0, "give_up: needs failures from 0 on, and a positive time"},
		{len(p.Listen) <= maxSockets, fmt.Sprintf("listen: has more than %d sockets", maxSockets)},
	} {
		if !rule.holds {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "%s", rule.says))
		}
	}
	_, err := p.signal()
	return errors.Join(append(problems, err, p.checkSockets())...)
}

func (p *Program) checkSockets() error {
	names := map[string]bool{}
	for i, text := range p.Listen {
		spec, err := socket.Parse(text)
		if err != nil {
			return penstock.Errorf(penstock.Invalid, "listen[%d]: %w", i, err)
		}
		if spec.Name != "" && names[spec.Name] {
			return penstock.Errorf(penstock.Invalid, "listen[%d]: two sockets have the name %s", i, spec.Name)
		}
		names[spec.Name] = true
	}
	return nil
}

func (p *Program) signal() (syscall.Signal, error) {
	s := unix.SignalNum("SIG" + p.StopSignal)
	if s == 0 || s > maxStopSignal {
		return 0, penstock.Errorf(penstock.Invalid, "stop_signal: %q is no signal: write TERM, INT, QUIT or another name without SIG", p.StopSignal)
	}
	return s, nil
}

// instances returns how many processes of the program run.
func (p *Program) instances() int {
	if p.Instances == 0 {
		return runtime.GOMAXPROCS(0) // which respects the limits of a container
	}
	return p.Instances
}

func (p *Program) policy() (lifecycle.Policy, error) {
	s, err := p.signal()
	if err != nil {
		return lifecycle.Policy{}, err
	}
	return lifecycle.Policy{
		Restart: p.Restart, NotifyReady: p.Ready == ReadyNotify, Settle: settle, Overlap: p.Overlap,
		StartTimeout: p.StartTimeout.Std(), StopTimeout: p.StopTimeout.Std(), StopSignal: s,
		Watchdog: p.Watchdog.Std(), Memory: int64(p.Memory), Delay: firstDelay, MaxDelay: longestDelay, Stable: stable,
		Failures: p.GiveUp.Failures, Within: p.GiveUp.Within.Std(),
	}, nil
}

// destination opens what the lines go to.
func (l *Log) destination(o *Options) (capture.Destination, error) {
	switch l.To {
	case "files":
		return capture.NewFiles(l.Dir, int64(l.MaxSize), l.Keep)
	case "syslog":
		return capture.NewSyslog(l.Address, o.Now)
	case "journal":
		return capture.NewJournal(capture.JournalSocket, o.Now), nil
	case "none":
		return capture.Discard{}, nil
	case "stdout":
		return capture.NewStream(o.Stdout), nil
	}
	return nil, fmt.Errorf("log.to: %q is not known", l.To)
}
