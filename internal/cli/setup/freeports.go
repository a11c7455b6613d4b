package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/doctor"
	"github.com/penstock/penstock/internal/ports"
)

// stopPatience is how long a program that is asked to stop may take.
const stopPatience = 10 * time.Second

// PortPolicy says what serve does about ports that others hold.
type PortPolicy struct {
	wait time.Duration
	take bool
	yes  bool
}

// Register adds the flags.
func (p *PortPolicy) Register(flags *pflag.FlagSet) {
	flags.DurationVar(&p.wait, "wait-port", 0, "wait so long for ports that other programs hold: `DURATION`, such as 30s")
	flags.BoolVar(&p.take, "take-port", false, "stop the programs that hold the ports, after asking: SIGTERM, and SIGKILL 10 s later")
	flags.BoolVarP(&p.yes, "yes", "y", false, "with --take-port: do not ask")
}

// Apply frees the ports of the configuration as the flags say. Without flags it
// does nothing: the start then fails and names the holder.
func (p *PortPolicy) Apply(ctx context.Context, env shell.Env, d Doctor, from config.Sources) error {
	if p.yes && !p.take {
		return shell.Usagef("--yes goes with --take-port")
	}
	if p.wait <= 0 && !p.take {
		return nil
	}
	taken, err := takenPorts(d, from)
	if err != nil || len(taken) == 0 {
		return err
	}
	if p.wait > 0 {
		if taken, err = p.await(ctx, env, d, from, taken); err != nil || len(taken) == 0 {
			return err
		}
	}
	if !p.take {
		s := taken[0]
		return penstock.Errorf(penstock.Unavailable, "%s: after %v %s is still held by %s", s.Key, p.wait, s.Address, ports.Names(s.Holders))
	}
	return p.takeAll(ctx, env, taken)
}

// takenPorts returns the ports that others hold. Those that this process was
// handed over are its own, also where the first process holds them too.
func takenPorts(d Doctor, from config.Sources) ([]doctor.PortState, error) {
	states, err := d.Ports(from)
	return slices.DeleteFunc(states, func(s doctor.PortState) bool {
		own := slices.ContainsFunc(s.Holders, func(h ports.Holder) bool { return h.PID == os.Getpid() })
		return own || len(s.Holders) == 0
	}), err
}

// await waits for the ports, and returns those that are held still.
func (p *PortPolicy) await(ctx context.Context, env shell.Env, d Doctor, from config.Sources, taken []doctor.PortState) ([]doctor.PortState, error) {
	for _, s := range taken {
		fmt.Fprintf(env.Stderr, "penstock: %s: waiting up to %v for %s, held by %s\n", s.Key, p.wait, s.Address, ports.Names(s.Holders))
	}
	waiting, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	for _, s := range taken {
		err := ports.Machine{}.AwaitFree(waiting, s.Network, s.Address)
		if err != nil && !errors.Is(waiting.Err(), context.DeadlineExceeded) {
			return nil, err
		}
	}
	return takenPorts(d, from)
}

// takeAll stops the holders, each once.
func (p *PortPolicy) takeAll(ctx context.Context, env shell.Env, taken []doctor.PortState) error {
	var holders []ports.Holder
	for _, s := range taken {
		fmt.Fprintf(env.Stderr, "penstock: %s: %s is held by %s\n", s.Key, s.Address, ports.Names(s.Holders))
		for _, h := range s.Holders {
			if !slices.ContainsFunc(holders, func(known ports.Holder) bool { return known.PID == h.PID }) {
				holders = append(holders, h)
			}
		}
	}
	if !p.yes {
		if err := Confirm(env, fmt.Sprintf("Stop %s?", ports.Names(holders))); err != nil {
			return err
		}
	}
	for _, h := range holders {
		if err := (ports.Machine{}).End(ctx, h, stopPatience); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	for _, s := range taken {
		if err := (ports.Machine{}).AwaitFree(limited, s.Network, s.Address); err != nil {
			return penstock.Errorf(penstock.Unavailable, "%s: %s is held again, perhaps by a manager that started the program anew: stop its unit", s.Key, s.Address)
		}
	}
	return nil
}
