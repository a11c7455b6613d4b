package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := compare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "managers:", err)
		os.Exit(1)
	}
}

// A manager runs the program in a number of processes at an address.
type manager interface {
	start(ctx context.Context, processes int) (pid int, err error) // its own process
	address() string
	restart(ctx context.Context) error
	processes(ctx context.Context) ([]int, error) // that serve now
	stop() error
}

func compare(ctx context.Context) error {
	home, err := os.MkdirTemp("", "managers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	modules, err := install(ctx, home)
	if err != nil {
		return err
	}
	script, err := filepath.Abs("bench/managers/server.js")
	if err != nil {
		return err
	}
	program, err := filepath.Abs("bin/penstock")
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MANAGER\tPROCESSES\tWHAT\tTOOK\tREQUESTS\tFAILED\tLONGEST ANSWER")
	for _, m := range []struct {
		name string
		manager
	}{
		{"supervise", &supervised{program: program, script: script, home: filepath.Join(home, "supervise")}},
		{"pm2 reload", &pm2{bin: modules + "/.bin/pm2", script: script, home: filepath.Join(home, "reload"), verb: "reload"}},
		{"pm2 restart", &pm2{bin: modules + "/.bin/pm2", script: script, home: filepath.Join(home, "restart"), verb: "restart"}},
	} {
		for _, n := range []int{2, 1} {
			if err := try(ctx, m.name, m.manager, n, table); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return table.Flush()
}

// install brings pm2 in the version of the lock file.
func install(ctx context.Context, home string) (modules string, err error) {
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("bench/managers", name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(home, name), text, 0o600); err != nil {
			return "", err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = home
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, out)
	}
	return filepath.Join(home, "node_modules"), nil
}

// try measures a manager with a number of processes.
func try(ctx context.Context, name string, m manager, n int, out *tabwriter.Writer) (err error) {
	pid, err := m.start(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.stop()) }()
	if err := await(ctx, m, n, nil); err != nil {
		return err
	}
	row := func(what string, do func() error) error {
		l := newLoad(m.address())
		began := time.Now()
		if err := do(); err != nil {
			return errors.Join(err, l.end())
		}
		took := time.Since(began)
		<-time.After(time.Second) // what comes late is seen too
		if err := l.end(); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%d\t%d\t%s\n", name, n, what, took.Round(time.Millisecond), l.asked, l.failed, l.longest.Round(time.Millisecond))
		return nil
	}
	err = row("planned restart", func() error {
		before, err := m.processes(ctx)
		return errors.Join(err, m.restart(ctx), await(ctx, m, n, before))
	})
	if err != nil {
		return err
	}
	err = row("kill -9 of one", func() error {
		before, err := m.processes(ctx)
		if err != nil {
			return err
		}
		return errors.Join(kill(before[0]), await(ctx, m, n, before[:1]))
	})
	if err != nil {
		return err
	}
	resident, err := residentOf(pid)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\t%d\tmemory of the manager\t%.0f MiB\t\t\t\n", name, n, float64(resident)/(1<<20))
	return nil
}

// await waits until so many processes serve, none of the given ones.
func await(ctx context.Context, m manager, n int, gone []int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := m.processes(ctx)
		if err == nil && len(list) >= n && !overlap(list, gone) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d processes were awaited, and %v serve: %w", n, list, errors.Join(err, ctx.Err()))
		}
	}
}
