package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// receiver is a real rsyslog, which is started, stopped and held.
type receiver struct {
	dir      string
	udp, tcp string // where it listens, or would
	command  *exec.Cmd
}

// conf listens on both ways and writes what comes to a file.
const conf = `
global(workDirectory="%[1]s")
module(load="imudp") module(load="imptcp")
template(name="all" type="string" string="%%msg%%\n")
ruleset(name="all") { action(type="omfile" file="%[1]s/out" template="all") }
input(type="imudp" address="127.0.0.1" port="%[2]s" ruleset="all")
input(type="imptcp" address="127.0.0.1" port="%[3]s" ruleset="all")
`

// newReceiver configures one that does not run.
func newReceiver(dir string) (*receiver, error) {
	r := &receiver{dir: dir}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer packets.Close()
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	r.udp, r.tcp = packets.LocalAddr().String(), stream.Addr().String()
	_, packetPort, _ := net.SplitHostPort(r.udp)
	_, streamPort, _ := net.SplitHostPort(r.tcp)
	return r, os.WriteFile(filepath.Join(dir, "conf"), fmt.Appendf(nil, conf, dir, packetPort, streamPort), 0o600)
}

// start runs it and waits until it takes connections.
func (r *receiver) start() error {
	r.command = exec.Command("/usr/sbin/rsyslogd", "-n", "-f", filepath.Join(r.dir, "conf"), "-i", filepath.Join(r.dir, "pid"))
	r.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.command.Start(); err != nil {
		return fmt.Errorf("rsyslog: %w: run make tools", err)
	}
	for end := time.Now().Add(30 * time.Second); ; {
		c, err := net.Dial("tcp", r.tcp)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("rsyslog does not listen: %w", err), r.stop())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// stop ends it; it need not run.
func (r *receiver) stop() error {
	if r.command == nil {
		return nil
	}
	err := errors.Join(r.hold(false), r.command.Process.Signal(syscall.SIGTERM))
	_ = r.command.Wait() // by a signal, of course
	r.command = nil
	return err
}

// hold has it hang with its sockets open, or go on.
func (r *receiver) hold(hung bool) error {
	if hung {
		return r.command.Process.Signal(syscall.SIGSTOP)
	}
	return r.command.Process.Signal(syscall.SIGCONT)
}

// lines returns how many lines came.
func (r *receiver) lines() (n int, err error) {
	text, err := os.ReadFile(filepath.Join(r.dir, "out"))
	for _, b := range text {
		if b == '\n' {
			n++
		}
	}
	return n, err
}
