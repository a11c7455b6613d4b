package ports_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/ports"
	"github.com/penstock/penstock/internal/testkit"
)

// holdFor makes the test binary a program that holds a port.
const holdFor = "PENSTOCK_TEST_HOLD"

func TestMain(m *testing.M) {
	if how := os.Getenv(holdFor); how != "" {
		os.Exit(hold(how))
	}
	testkit.Main(m)
}

// hold listens, says where, and stays until it is killed or its input ends.
func hold(how string) int {
	if how == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	defer l.Close()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // the test ended when it ends
	return 0
}

// start runs a holder, as user nobody when the test may, and returns its address.
func start(t *testing.T, how string, uid uint32) (address string, process *os.Process) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if uid != 0 { // nobody cannot read where the test binary was built
		text, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		dir, err := os.MkdirTemp("/tmp", "holder")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		self = filepath.Join(dir, "holder")
		if err := os.WriteFile(self, text, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(self, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holdFor+"="+how, "GOCOVERDIR="+os.TempDir())
	cmd.Dir = "/"
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // killed ones end badly, as they should
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), cmd.Process
}

func TestHoldersOfARealPort(t *testing.T) {
	var m ports.Machine
	uids := []uint32{0}
	if os.Geteuid() == 0 {
		uids = append(uids, 65534) // of another user
	}
	for _, uid := range uids {
		address, process := start(t, "meek", uid)
		holders, err := m.Holders("tcp", address)
		if err != nil || len(holders) != 1 {
			t.Fatalf("%s is held by %v, %v", address, holders, err)
		}
		h := holders[0]
		if h.PID != process.Pid || h.Address != address || h.Command == "" {
			t.Errorf("the holder is %+v, not process %d at %s", h, process.Pid, address)
		}
		if uid != 0 && h.User != "nobody" {
			t.Errorf("the user is %q", h.User)
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if holders, err = m.Holders("tcp", ":"+port); err != nil || len(holders) != 1 {
			t.Errorf("all interfaces: held by %v, %v", holders, err)
		}
		if holders, err = m.Holders("tcp", "127.0.0.9:"+port); err != nil || len(holders) != 0 {
			t.Errorf("another address of the machine is held by %v, %v", holders, err)
		}
		if holders, err = m.Holders("udp", address); err != nil || len(holders) != 0 {
			t.Errorf("the UDP port is held by %v, %v", holders, err)
		}
	}
}

func TestHolderOfADatagramPort(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	holders, err := ports.Machine{}.Holders("udp", socket.LocalAddr().String())
	if err != nil || len(holders) != 1 || holders[0].PID != os.Getpid() {
		t.Errorf("held by %v, %v; not by %d", holders, err, os.Getpid())
	}
}

func TestEndStopsTheHolderAndNobodyElse(t *testing.T) {
	var m ports.Machine
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, how := range []string{"meek", "stubborn"} {
		address, _ := start(t, how, 0)
		other, _ := start(t, "meek", 0)
		holders, err := m.Holders("tcp", address)
		if err != nil || len(holders) != 1 {
			t.Fatalf("held by %v, %v", holders, err)
		}
		if err := m.End(ctx, holders[0], 300*time.Millisecond); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if err := m.AwaitFree(ctx, "tcp", address); err != nil {
			t.Errorf("%s: the port is not free: %v", how, err)
		}
		if holders, err := m.Holders("tcp", other); err != nil || len(holders) != 1 {
			t.Errorf("%s: the other one has gone too: %v, %v", how, holders, err)
		}
		if err := m.End(ctx, holders[0], time.Millisecond); err != nil {
			t.Errorf("%s: ending what has ended: %v", how, err)
		}
	}
}

func TestEndRefuses(t *testing.T) {
	for _, pid := range []int{0, 1, os.Getpid()} {
		err := ports.Machine{}.End(t.Context(), ports.Holder{PID: pid}, time.Second)
		if penstock.CodeOf(err) != penstock.Forbidden {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	// A process that has the number of one that was seen before is left alone.
	address, process := start(t, "meek", 0)
	if err := (ports.Machine{}).End(t.Context(), ports.Holder{PID: process.Pid}, time.Second); err != nil {
		t.Error(err)
	}
	if holders, err := (ports.Machine{}).Holders("tcp", address); err != nil || len(holders) != 1 {
		t.Errorf("a later process of the same number was ended: %v, %v", holders, err)
	}
}

func TestAwaitFreeEndsWithItsContext(t *testing.T) {
	address, _ := start(t, "meek", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := (ports.Machine{}).AwaitFree(ctx, "tcp", address); err == nil {
		t.Error("a held port was called free")
	}
}

// table is what a kernel lists: 127.0.0.1:8080 and [::]:514 by number 1000.
const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F91 00000000:0000 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000000000000000 100 0 0 10 0
   2: nonsense
`

// machine writes a made-up machine below a directory.
func machine(t *testing.T, files map[string]string) ports.Machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ports.Machine{Root: root}
}

func TestHoldersOfAMadeUpMachine(t *testing.T) {
	files := map[string]string{
		"proc/net/tcp": table, "etc/passwd": "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n",
		"proc/net/tcp6": "header\n 0: 00000000000000000000000000000000:0202 00000000000000000000000000000000:0000 0A 0:0 0:0 0 33 0 99 1\n",
	}
	m := machine(t, files)
	holders, err := m.Holders("tcp", "localhost:8080")
	if err != nil || len(holders) != 1 || holders[0].PID != 0 || ports.Names(holders) != "a process of user ann (only root can see which)" {
		t.Errorf("without the right to look: %+v, %v", holders, err)
	}
	if holders, err = m.Holders("tcp", "10.0.0.1:514"); err != nil || len(holders) != 1 || holders[0].User != "33" {
		t.Errorf("a socket of all interfaces: %+v, %v", holders, err)
	}
	if holders, err = m.Holders("tcp", ":8081"); err != nil || len(holders) != 0 {
		t.Errorf("a connection is taken for a listener: %+v, %v", holders, err)
	}
	if _, err = m.Holders("tcp", "nonsense"); err == nil {
		t.Error("nonsense is an address")
	}
	files["proc/42/fd/7"] = "-> socket:[4711]"
	files["proc/42/cmdline"] = "nginx:\x00worker\x1b[31m\x00"
	files["proc/42/status"] = "Name:\tnginx\nUid:\t1000\t1000\t1000\t1000\n"
	files["proc/42/cgroup"] = "0::/system.slice/nginx.service/worker\n"
	files["proc/42/stat"] = "42 (a) b) S " + strings.Repeat("1 ", 30)
	holders, err = machine(t, files).Holders("tcp", ":8080")
	if want := `"nginx: worker [31m" (pid 42, user ann, unit nginx.service)`; err != nil || ports.Names(holders) != want {
		t.Errorf("got %s, %v\nwant %s", ports.Names(holders), err, want)
	}
}

func FuzzTable(f *testing.F) {
	f.Add(table, ":8080")
	f.Fuzz(func(t *testing.T, text, address string) {
		holders, err := machine(t, map[string]string{"proc/net/tcp": text}).Holders("tcp", address)
		if err != nil {
			return
		}
		_, port, _ := net.SplitHostPort(address)
		for _, h := range holders {
			_, found, err := net.SplitHostPort(h.Address)
			if err != nil {
				t.Fatal(err)
			}
			a, _ := strconv.ParseUint(port, 10, 16)
			if b, _ := strconv.ParseUint(found, 10, 16); a != b {
				t.Fatalf("%s is held at %s", address, h.Address)
			}
		}
	})
}
