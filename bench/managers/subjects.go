package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// supervised is penstock supervise.
type supervised struct {
	program, script, home string
	process               *exec.Cmd
	at                    string
}

func (s *supervised) command(arguments ...string) *exec.Cmd {
	c := exec.Command(s.program, append([]string{"supervise"}, arguments...)...)
	c.Env = append(os.Environ(), "SUPERVISE_RUNTIME="+s.home)
	return c
}

func (s *supervised) start(_ context.Context, n int) (int, error) {
	s.process = s.command("-n", strconv.Itoa(n), "--log", "none", "--listen", "127.0.0.1:0", "--", "node", s.script)
	if err := s.process.Start(); err != nil {
		return 0, err
	}
	return s.process.Process.Pid, nil
}

func (s *supervised) status() (pids []int, err error) {
	out, err := s.command("status", "--json").Output()
	if err != nil {
		return nil, err
	}
	var status struct {
		Programs []struct {
			Sockets   []struct{ Address string }
			Instances []struct {
				State string
				PID   int
			}
		}
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return nil, err
	}
	for _, i := range status.Programs[0].Instances {
		if i.State == "running" {
			pids = append(pids, i.PID)
		}
	}
	s.at = status.Programs[0].Sockets[0].Address
	return pids, nil
}

func (s *supervised) address() string { return s.at }

func (s *supervised) restart(context.Context) error { return run(s.command("restart")) }

func (s *supervised) processes(context.Context) ([]int, error) { return s.status() }

func (s *supervised) stop() error {
	return errors.Join(s.process.Process.Signal(syscall.SIGTERM), s.process.Wait())
}

// pm2 is pm2 in its cluster mode.
type pm2 struct {
	bin, script, home, verb string
	at                      string
}

func (p *pm2) command(arguments ...string) *exec.Cmd {
	c := exec.Command(p.bin, arguments...)
	_, port, _ := net.SplitHostPort(p.at)
	c.Env = append(os.Environ(), "PM2_HOME="+p.home, "PORT="+port)
	return c
}

func (p *pm2) start(_ context.Context, n int) (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	p.at = l.Addr().String()
	l.Close()
	if err := run(p.command("start", p.script, "--name", "app", "-i", strconv.Itoa(n))); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(p.home, "pm2.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func (p *pm2) address() string { return p.at }

func (p *pm2) restart(context.Context) error { return run(p.command(p.verb, "app")) }

func (p *pm2) processes(context.Context) (pids []int, err error) {
	out, err := p.command("jlist").Output()
	if err != nil {
		return nil, err
	}
	var list []struct {
		PID int
		Env struct {
			Status string `json:"status"`
		} `json:"pm2_env"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, err
	}
	for _, one := range list {
		if one.Env.Status == "online" && one.PID != 0 {
			pids = append(pids, one.PID)
		}
	}
	return pids, nil
}

func (p *pm2) stop() error { return run(p.command("kill")) }

func run(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, out)
	}
	return nil
}
