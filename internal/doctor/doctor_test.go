package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/internal/doctor"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var now = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

// patient is a made-up machine with a gateway, on which nothing is wrong.
type patient struct {
	doctor.Machine
	doctor.Subject
	t      *testing.T
	owners map[string]doctor.Owner
	space  doctor.Space
	clock  doctor.Clock
	disk   doctor.Disk
}

func newPatient(t *testing.T) *patient {
	root := t.TempDir()
	p := &patient{
		t:      t,
		owners: map[string]doctor.Owner{},
		space:  doctor.Space{Type: 0xef53, Total: 500 << 30, Available: 100 << 30, Inodes: 1 << 20, InodesKnown: true},
		clock:  doctor.Clock{Synchronised: true, Error: 3 * time.Millisecond},
		disk:   doctor.Disk{Median: 100 * time.Microsecond, Worst: time.Millisecond, Throughput: 900e6},
	}
	p.Subject = doctor.Subject{
		File: "penstock.yaml", Data: filepath.Join(root, "data"), Keys: filepath.Join(root, "keys"), Quota: 10 << 30, Clients: 20_000,
		Listeners: []doctor.Listener{{Key: "listen.https", Network: "tcp", Address: ":8080"}, {Key: "listen.health", Network: "tcp", Address: "127.0.0.1:3000"}},
		Sizes:     []doctor.Size{{Name: "GOMAXPROCS", Value: "2", Reason: "two processors"}},
	}
	p.Machine = doctor.Machine{
		Root: root, Now: func() time.Time { return now }, EUID: 990, CPUs: 2,
		Clock: func() (doctor.Clock, error) { return p.clock, nil },
		Space: func(string) (doctor.Space, error) { return p.space, nil },
		Files: func() (uint64, error) { return 1 << 20, nil },
		Owner: func(path string) (doctor.Owner, error) {
			if o, ok := p.owners[path]; ok {
				return o, nil
			}
			return doctor.Owner{}, &os.PathError{Op: "stat", Path: path, Err: os.ErrNotExist}
		},
		Features: []doctor.Feature{{Name: "flock", Try: func(string) error { return nil }}},
		Resolve:  func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil },
		Disk:     func(context.Context, string) (doctor.Disk, error) { return p.disk, nil },
	}
	p.owners[p.Data] = doctor.Owner{UID: 990, Mode: 0o750}
	p.owners[filepath.Join(p.Keys, "kek")] = doctor.Owner{UID: 990, Mode: 0o600}
	if err := os.MkdirAll(p.Data, 0o750); err != nil {
		t.Fatal(err)
	}
	p.write("proc/sys/kernel/osrelease", "6.1.0-40-amd64")
	p.write("proc/meminfo", "MemFree: 1 kB\nMemTotal:        8000000 kB\n")
	p.write("proc/self/cgroup", "0::/system.slice/penstock.service\n")
	p.write("proc/net/tcp", "header\n")
	p.card("eno1", "up", "1000", "full")
	p.write("sys/class/net/lo/type", "772")
	p.write("run/systemd/system/x", "")
	p.write("run/systemd/journal/socket", "")
	p.write("var/log/journal/x", "")
	p.write("etc/systemd/system/penstock.service", "[Service]\n")
	p.write("etc/systemd/system/multi-user.target.wants/penstock.service", "")
	return p
}

func (p *patient) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.Root, name)
	if filepath.IsAbs(name) {
		path = name
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) remove(name string) {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.Root, name)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) card(name, state, speed, duplex string) {
	p.write("sys/class/net/"+name+"/type", "1")
	p.write("sys/class/net/"+name+"/operstate", state)
	p.write("sys/class/net/"+name+"/speed", speed)
	p.write("sys/class/net/"+name+"/duplex", duplex)
}

// running has a process 4242 of the gateway hold the data directory.
func (p *patient) running() {
	p.write(p.Data+"/lock", "4242\n")
	p.write("proc/locks", "1: FLOCK  ADVISORY  WRITE 4242 08:02:1234 0 EOF\n")
	p.write("proc/4242/environ", "A=b\x00NOTIFY_SOCKET=/run/systemd/notify\x00")
	p.owners[filepath.Join(p.Root, "proc/4242")] = doctor.Owner{UID: 990}
}

// holding has process pid hold a TCP port, given in hexadecimal.
func (p *patient) holding(pid, port string) {
	p.write("proc/net/tcp", "header\n 0: 00000000:"+port+" 00000000:0000 0A 0:0 0:0 0 990 0 4711 1\n")
	dir := filepath.Join(p.Root, "proc", pid, "fd")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Symlink("socket:[4711]", filepath.Join(dir, "3"))); err != nil {
		p.t.Fatal(err)
	}
	p.write("proc/"+pid+"/cmdline", "nginx\x00")
	p.write("proc/"+pid+"/status", "Uid:\t33\t33\n")
	p.write("proc/"+pid+"/cgroup", "0::/system.slice/nginx.service\n")
	p.write("etc/passwd", "www-data:x:33:33::/:/bin/false\n")
}

// certificate gives the patient a certificate that lasts so long from now on.
func (p *patient) certificate(lasts time.Duration) {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-100 * 24 * time.Hour), NotAfter: now.Add(lasts)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.TLS.Cert, p.TLS.Key = testkit.WriteFiles(p.t, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
}

func peer(err error) []doctor.Peer {
	return []doctor.Peer{{Key: "sources.broker", Address: "broker.example:5671", Dial: func(context.Context) (net.Conn, error) {
		if err != nil {
			return nil, err
		}
		ours, theirs := net.Pipe()
		return ours, theirs.Close()
	}}}
}

// TestNothingIsWrong shows every check passing.
func TestNothingIsWrong(t *testing.T) {
	p := newPatient(t)
	p.certificate(60 * 24 * time.Hour)
	p.Peers = peer(nil)
	p.running()
	for _, c := range doctor.Examine(t.Context(), p.Machine, p.Subject).Checks {
		if c.Status != doctor.OK || c.Found == "" || c.Why == "" || c.Fix != "" {
			t.Errorf("%+v", c)
		}
	}
}

// TestEachCheckFails makes one thing wrong at a time, and wants one check to say
// so and no other.
func TestEachCheckFails(t *testing.T) {
	for _, c := range []struct {
		what   string
		harm   func(*patient)
		check  string
		status doctor.Status
		found  string
	}{
		{"a configuration that does not hold", func(p *patient) { p.Problem = errors.New("penstock.yaml:3:1: no such key") }, "configuration", doctor.Fail, "penstock.yaml:3:1"},
		{"a variable that names nothing", func(p *patient) { p.Warnings = []string{"PENSTOCK_DATTA names no key"} }, "configuration", doctor.Warn, "DATTA"},
		{"an old kernel", func(p *patient) { p.write("proc/sys/kernel/osrelease", "5.3.18-default") }, "kernel", doctor.Fail, "5.3.18"},
		{"a kernel with another name", func(p *patient) { p.write("proc/sys/kernel/osrelease", "gVisor") }, "kernel", doctor.Warn, "gVisor"},
		{"a call that is missing", func(p *patient) { p.Features[0].Try = func(string) error { return unix.ENOSYS } }, "features", doctor.Fail, "flock"},
		{"one processor", func(p *patient) { p.CPUs = 1 }, "processors", doctor.Warn, "1 usable"},
		{"little memory", func(p *patient) { p.write("proc/meminfo", "MemTotal: 2000000 kB\n") }, "memory", doctor.Warn, "1.907 GiB"},
		{"a small control group", func(p *patient) { p.write("sys/fs/cgroup/system.slice/memory.max", "268435456\n") }, "memory", doctor.Fail, "256 MiB of"},
		{"few open files", func(p *patient) { p.Files = func() (uint64, error) { return 4096, nil } }, "open files", doctor.Warn, "4096"},
		{"hardly any open files", func(p *patient) {
			p.running()
			p.write("proc/4242/limits", "Max open files            256                  256                  files\n")
		}, "open files", doctor.Fail, "process 4242"},
		{"a clock that was never set", func(p *patient) { p.Now = func() time.Time { return time.Unix(0, 0) } }, "clock", doctor.Fail, "1970"},
		{"a clock that nobody sets", func(p *patient) { p.clock.Synchronised = false }, "clock", doctor.Warn, "no time service has it"},
		{"a time service in vain", func(p *patient) { p.clock.Synchronised = false; p.write("run/chrony/x", "") }, "clock", doctor.Warn, "although there is chrony"},
		{"a vague clock", func(p *patient) { p.clock.Error = 3 * time.Second }, "clock", doctor.Warn, "3s"},
		{"a gateway of root's", func(p *patient) {
			p.running()
			p.owners[filepath.Join(p.Root, "proc/4242")] = doctor.Owner{}
		}, "account", doctor.Fail, "runs as root"},
		{"data of root's", func(p *patient) { p.owners[p.Data] = doctor.Owner{UID: 0, Mode: 0o750}; p.EUID = 0 }, "account", doctor.Warn, "root's"},
		{"data for everybody", func(p *patient) { p.owners[p.Data] = doctor.Owner{UID: 990, Mode: 0o755} }, "data directory", doctor.Fail, "0755"},
		{"data that a group may change", func(p *patient) { p.owners[p.Data] = doctor.Owner{UID: 990, Mode: 0o770} }, "data directory", doctor.Warn, "0770"},
		{"data on which nothing can be written", func(p *patient) { p.remove("data") }, "data directory", doctor.Fail, "nothing can be written"},
		{"a key that was lost", func(p *patient) {
			delete(p.owners, filepath.Join(p.Keys, "kek"))
			p.write(p.Data+"/keys/keyring", "")
		}, "keys", doctor.Fail, "was sealed with it"},
		{"a key for everybody", func(p *patient) {
			p.owners[filepath.Join(p.Keys, "kek")] = doctor.Owner{UID: 990, Mode: 0o644}
		}, "keys", doctor.Fail, "0644"},
		{"a key beside the data", func(p *patient) {
			p.Keys = filepath.Join(p.Data, "keys")
			p.owners[filepath.Join(p.Keys, "kek")] = doctor.Owner{UID: 990, Mode: 0o600}
		}, "keys", doctor.Warn, "in the data directory"},
		{"a full disk", func(p *patient) { p.space.Available = 10 << 20 }, "disk space", doctor.Fail, "10 MiB of 500 GiB"},
		{"a disk too small for the quota", func(p *patient) { p.space.Available = 5 << 30 }, "disk space", doctor.Warn, "5 GiB"},
		{"no inodes", func(p *patient) { p.space.Inodes = 3 }, "disk space", doctor.Fail, "3 inodes"},
		{"data in memory", func(p *patient) { p.space.Type = unix.TMPFS_MAGIC }, "file system", doctor.Fail, "tmpfs"},
		{"data on a share", func(p *patient) { p.space.Type = unix.NFS_SUPER_MAGIC }, "file system", doctor.Warn, "nfs"},
		{"slow syncs", func(p *patient) { p.disk.Worst = 80 * time.Millisecond }, "disk sync", doctor.Warn, "80ms"},
		{"syncs of a broken disk", func(p *patient) { p.disk.Worst = 2 * time.Second }, "disk sync", doctor.Fail, "2s"},
		{"a slow disk", func(p *patient) { p.disk.Throughput = 20e6 }, "disk throughput", doctor.Warn, "19.07 MiB"},
		{"a slow card", func(p *patient) { p.card("eno1", "up", "100", "full") }, "network card eno1", doctor.Warn, "100 Mb/s"},
		{"half duplex", func(p *patient) { p.card("eno1", "up", "1000", "half") }, "network card eno1", doctor.Fail, "half duplex"},
		{"a bad cable", func(p *patient) {
			p.write("sys/class/net/eno1/statistics/rx_errors", "5000")
			p.write("sys/class/net/eno1/statistics/rx_packets", "100000")
		}, "network card eno1", doctor.Warn, "5000 of 100000"},
		{"no card", func(p *patient) { p.card("eno1", "down", "", "") }, "network card", doctor.Fail, "no card is up"},
		{"a port that is taken", func(p *patient) { p.holding("77", "1F90") }, "ports listen.https", doctor.Fail, `"nginx" (pid 77, user www-data, unit nginx.service)`},
		{"a port of root's", func(p *patient) { p.Listeners[0].Address = ":443" }, "ports listen.https", doctor.Fail, "only root"},
		{"a certificate that ends soon", func(p *patient) { p.certificate(48 * time.Hour) }, "tls", doctor.Warn, "valid until"},
		{"a certificate that has ended", func(p *patient) { p.certificate(-time.Hour) }, "tls", doctor.Fail, "expired"},
		{"a certificate that is not there", func(p *patient) { p.TLS = doctor.TLS{Cert: "/nowhere/c.pem", Key: "/nowhere/k.pem"} }, "tls", doctor.Fail, "/nowhere"},
		{"an authority that is none", func(p *patient) { p.write("ca.pem", "x"); p.TLS.ClientCA = filepath.Join(p.Root, "ca.pem") }, "tls client_ca", doctor.Fail, "no certificate"},
		{"a peer that refuses", func(p *patient) { p.Peers = peer(fmt.Errorf("connect: %w", syscall.ECONNREFUSED)) }, "peers sources.broker", doctor.Fail, "refused"},
		{"a peer of little weight", func(p *patient) {
			p.Peers = peer(&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded})
			p.Peers[0].Impact = 6
		}, "peers sources.broker", doctor.Warn, "timeout"},
		{"a gateway that nobody watches", func(p *patient) { p.running(); p.write("proc/4242/environ", "A=b\x00") }, "process manager", doctor.Warn, "none watches"},
		{"a unit that is not enabled", func(p *patient) { p.remove("etc/systemd/system/multi-user.target.wants") }, "process manager", doctor.Warn, "not enabled"},
		{"no unit", func(p *patient) { p.remove("etc/systemd/system") }, "process manager", doctor.Warn, "no unit"},
		{"no manager", func(p *patient) { p.remove("run/systemd/system") }, "process manager", doctor.Warn, "no systemd"},
		{"a journal in memory", func(p *patient) { p.remove("var/log/journal") }, "logging", doctor.Warn, "in memory only"},
		{"no log daemon", func(p *patient) { p.remove("run/systemd/journal") }, "logging", doctor.Warn, "neither"},
		{"no health", func(p *patient) { p.Listeners = p.Listeners[:1] }, "health", doctor.Warn, "off"},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := newPatient(t)
			c.harm(p)
			bad := troubles(doctor.Examine(t.Context(), p.Machine, p.Subject))
			i := slices.IndexFunc(bad, func(d doctor.Check) bool { return d.Name == c.check })
			if i < 0 || len(bad) != 1 {
				t.Fatalf("the troubles are %+v", bad)
			}
			if d := bad[i]; d.Status != c.status || !strings.Contains(d.Found, c.found) || d.Fix == "" || d.Why == "" {
				t.Errorf("got %+v, want %s with %q", d, c.status, c.found)
			}
		})
	}
}

func troubles(r doctor.Report) []doctor.Check {
	return slices.DeleteFunc(r.Checks, func(c doctor.Check) bool { return c.Status == doctor.OK })
}

func TestNamesThatAreNotKnown(t *testing.T) {
	p := newPatient(t)
	unknown := &net.DNSError{Err: "no such host", Name: "broker.example", IsNotFound: true}
	p.Resolve = func(context.Context, string) ([]string, error) { return nil, unknown }
	p.Peers = peer(unknown)
	bad := troubles(doctor.Examine(t.Context(), p.Machine, p.Subject))
	if len(bad) != 2 || bad[0].Name != "dns" || bad[1].Name != "peers sources.broker" || !strings.Contains(bad[1].Fix, "getent hosts broker.example") {
		t.Errorf("%+v", bad)
	}
}

// TestABareMachine has nothing at all to look at: every check still says something.
func TestABareMachine(t *testing.T) {
	nothing := errors.New("not there")
	m := doctor.Machine{
		Root: t.TempDir(), Now: func() time.Time { return now },
		Clock:   func() (doctor.Clock, error) { return doctor.Clock{}, nothing },
		Space:   func(string) (doctor.Space, error) { return doctor.Space{}, nothing },
		Files:   func() (uint64, error) { return 0, nothing },
		Owner:   func(string) (doctor.Owner, error) { return doctor.Owner{}, nothing },
		Resolve: func(context.Context, string) ([]string, error) { return nil, nothing },
		Disk:    func(context.Context, string) (doctor.Disk, error) { return doctor.Disk{}, nothing },
	}
	for _, c := range doctor.Examine(t.Context(), m, doctor.Subject{}).Checks {
		if c.Found == "" || c.Why == "" || (c.Status != doctor.OK) != (c.Fix != "") {
			t.Errorf("%+v", c)
		}
	}
}

func TestPortsOfTheGatewayItself(t *testing.T) {
	p := newPatient(t)
	p.running()
	p.holding("4242", "1F90")
	states, err := doctor.Ports(p.Machine, p.Subject)
	if err != nil || len(states) != 2 || !states[0].Ours || states[0].Holders[0].PID != 4242 || states[1].Ours || len(states[1].Holders) != 0 {
		t.Errorf("%+v, %v", states, err)
	}
	// The number in the file of a gateway that was killed may be another's now.
	p.write("proc/locks", "1: POSIX  ADVISORY  WRITE 4242 08:02:1234 0 EOF\n")
	if states, err = doctor.Ports(p.Machine, p.Subject); err != nil || states[0].Ours {
		t.Errorf("%+v, %v", states, err)
	}
}

func TestASocketUnitTakesALowPort(t *testing.T) {
	p := newPatient(t)
	p.Listeners[0].Address = "0.0.0.0:443"
	p.write("etc/systemd/system/penstock.socket", "[Socket]\nListenStream=443\n")
	if bad := troubles(doctor.Examine(t.Context(), p.Machine, p.Subject)); len(bad) > 0 {
		t.Errorf("%+v", bad)
	}
}

// TestThisMachine runs every real probe once.
func TestThisMachine(t *testing.T) {
	m := doctor.ThisMachine(time.Now)
	dir := t.TempDir()
	d, err := m.Disk(t.Context(), dir)
	if err != nil || d.Median <= 0 || d.Worst < d.Median || d.Throughput <= 0 {
		t.Errorf("disk: %+v, %v", d, err)
	}
	if s, err := m.Space(dir); err != nil || s.Total == 0 || s.Type == 0 {
		t.Errorf("space: %+v, %v", s, err)
	}
	if o, err := m.Owner(dir); err != nil || o.UID != os.Getuid() || o.Mode&0o777 == 0 {
		t.Errorf("owner: %+v, %v", o, err)
	}
	if n, err := m.Files(); err != nil || n == 0 {
		t.Errorf("open files: %d, %v", n, err)
	}
	if _, err := m.Clock(); err != nil {
		t.Errorf("clock: %v", err)
	}
	for _, f := range m.Features {
		if err := f.Try(dir); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind are %v, %v", left, err)
	}
}
