package install

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/penstock/penstock"
)

// Where everything is.
const (
	Account   = "penstock"
	Data      = "/var/lib/penstock"
	Etc       = "/etc/penstock"
	Config    = Etc + "/penstock.yaml"
	Keys      = Etc + "/keys"
	RootDir   = "/usr/lib/penstock/root" // what a running gateway sees as /
	firewall  = Etc + "/firewall.nft"
	ownUnits  = "/etc/systemd/system"
	packUnits = "/usr/lib/systemd/system"

	// Program is where the gateway is, and Packaged where a package has it.
	Program  = "/usr/local/bin/penstock"
	Packaged = "/usr/bin/penstock"
)

var (
	root   = owner{"root", "root"}
	shared = owner{"root", Account}
	own    = owner{Account, Account}
)

// Part says which part of an installation is meant.
type Part string

// The parts.
const (
	All       Part = ""          // everything
	Files     Part = "files"     // what a package holds
	Configure Part = "configure" // what a package's script does behind that
)

// Listener is a TCP port that the gateway listens on.
type Listener struct {
	Name    string // "https", "health", "mqtt", "link"
	Network string // "tcp" or "udp"
	Address string // host:port
}

// Options say what is wanted.
type Options struct {
	Part      Part
	Binary    string // the program that is installed
	Listeners []Listener
	Firewall  bool           // with From: nobody else reaches the listeners
	From      []netip.Prefix // those that may connect
	Serial    bool           // the gateway may open serial lines
	NoStart   bool           // do not start it
	Image     bool           // it is not this machine: nothing can be started
}

// Validate returns an error of code [penstock.Invalid] when the options do not go
// together.
func (o Options) Validate() error {
	switch {
	case o.Firewall && len(o.From) == 0:
		return penstock.Errorf(penstock.Invalid, "--firewall needs --from: whom should it let through?")
	case o.Part != All && o.Part != Files && o.Part != Configure:
		return penstock.Errorf(penstock.Invalid, "--package takes files or configure, not %q", o.Part)
	}
	return nil
}

// units returns the directory of the units.
func (o Options) units() string {
	if o.Part == All {
		return ownUnits
	}
	return packUnits
}

// program returns where the program is.
func (o Options) program() string {
	if o.Part == All {
		return Program
	}
	return Packaged
}

// Install returns the steps of an installation.
func Install(o Options) ([]Step, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var steps []Step
	if o.Part != Files {
		steps = append(steps, account{Account, Data})
	}
	if o.Part != Configure {
		steps = append(steps, program{o.Binary, o.program()}, emptyRoot{RootDir})
		steps = append(steps, o.unitFiles()...)
	}
	if o.Part == Files { // the account is not there yet
		return append(steps, directory{Etc, 0o750, root}, file{path: Config, content: o.configuration(), mode: 0o640, owner: root}), nil
	}
	steps = append(steps, directory{Etc, 0o750, shared}, file{path: Config, content: o.configuration(), mode: 0o640, owner: shared, keep: true})
	steps = append(steps, directory{Keys, 0o700, root}, key{Keys}, directory{Data, 0o750, own})
	if o.Firewall {
		steps = append(steps, o.firewallFiles()...)
	}
	steps = append(steps, o.enabled()...)
	if o.Image {
		return steps, nil
	}
	steps = append(steps, command{"systemctl", "daemon-reload"})
	if !o.NoStart {
		steps = append(steps, o.starts()...)
	}
	return steps, nil
}

// starts returns the commands that start everything.
func (o Options) starts() []Step {
	var steps []Step
	if o.Firewall {
		steps = append(steps, command{"systemctl", "restart", "penstock-firewall.service"})
	}
	for _, l := range o.handed() {
		steps = append(steps, command{"systemctl", "start", socketUnit(l.Name)})
	}
	return append(steps, command{"systemctl", "restart", "penstock.service"})
}

// enabled returns the links that have systemd start the units with the machine.
func (o Options) enabled() []Step {
	wants := func(target, unit string) Step {
		return link{ownUnits + "/" + target + ".wants/" + unit, o.units() + "/" + unit}
	}
	steps := []Step{wants("multi-user.target", "penstock.service")}
	for _, l := range o.handed() {
		steps = append(steps, wants("sockets.target", socketUnit(l.Name)))
	}
	if o.Firewall {
		steps = append(steps, link{ownUnits + "/multi-user.target.wants/penstock-firewall.service", ownUnits + "/penstock-firewall.service"})
	}
	return steps
}

// Uninstall returns the steps that undo an installation. Configuration, keys and
// data stay unless purge says otherwise.
func Uninstall(o Options, purge bool) ([]Step, error) {
	part := o.Part
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var steps []Step
	units := []string{"penstock.service", "penstock-firewall.service"}
	for _, name := range handedOver {
		units = append(units, socketUnit(name))
	}
	slices.Sort(units[2:])
	if !o.Image {
		steps = append(steps, quiet{append(command{"systemctl", "--quiet", "stop"}, units...)})
	}
	for _, unit := range units {
		for _, target := range []string{"multi-user.target", "sockets.target"} {
			steps = append(steps, removal{path: ownUnits + "/" + target + ".wants/" + unit})
		}
		if part == All {
			steps = append(steps, removal{path: ownUnits + "/" + unit})
		}
	}
	steps = append(steps, removal{path: ownUnits + "/penstock-firewall.service"}, removal{path: firewall})
	if part == All {
		steps = append(steps, removal{path: ownUnits + "/penstock.service.d/serial.conf"}, removal{path: ownUnits + "/penstock.service.d"},
			removal{path: "/usr/lib/penstock", all: true}, removal{path: Program}, removal{path: Program + ".previous"})
	}
	if !o.Image {
		steps = append(steps, command{"systemctl", "daemon-reload"})
	}
	if purge {
		steps = append(steps, removal{Data, true}, removal{Etc, true}, noAccount{Account})
	}
	return steps, nil
}

// quiet is a command whose failure means nothing: a unit that is not there cannot
// be stopped.
type quiet struct{ command }

// Apply implements [Step].
func (q quiet) Apply(ctx context.Context, t *Target) (bool, error) {
	changed, err := q.command.Apply(ctx, t)
	return changed && err == nil, nil
}

// Apply does the steps one after the other and tells of each. It stops at the
// first that fails, whose error names it.
func Apply(ctx context.Context, t *Target, steps []Step, tell func(step Step, changed bool)) error {
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		changed, err := s.Apply(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(strings.Fields(s.String()), " "), err)
		}
		tell(s, changed)
	}
	return nil
}
