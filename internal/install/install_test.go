package install_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/install"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// image is the root of a machine in a directory.
type image struct {
	*install.Target
	t      *testing.T
	owners map[string]string
	binary string
}

func newImage(t *testing.T) *image {
	t.Helper()
	i := &image{t: t, owners: map[string]string{}, binary: filepath.Join(t.TempDir(), "penstock")}
	i.Target = &install.Target{
		Root: t.TempDir(),
		Run: func(_ context.Context, name string, args ...string) error {
			return fmt.Errorf("a program of this machine was run for an image: %s %q", name, args)
		},
		Chown: func(path string, uid, gid int) error {
			relative, err := filepath.Rel(i.Root, path)
			i.owners["/"+relative] = fmt.Sprintf("%d:%d", uid, gid)
			return err
		},
		Key: func(dir string) error { return os.WriteFile(filepath.Join(dir, "kek"), []byte("key"), 0o600) },
	}
	i.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\ntaken:x:999:999::/:/bin/sh\n")
	i.write("etc/group", "root:x:0:\ntaken:x:999:\n")
	i.write("etc/shadow", "root:*:::::::\n")
	if err := os.WriteFile(i.binary, []byte("the program"), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *image) write(name, text string) {
	i.t.Helper()
	path := filepath.Join(i.Root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		i.t.Fatal(err)
	}
}

func (i *image) read(name string) string {
	i.t.Helper()
	text, err := os.ReadFile(filepath.Join(i.Root, name))
	if err != nil {
		i.t.Fatal(err)
	}
	return string(text)
}

// options are those of a gateway with a broker, for an image.
func (i *image) options() install.Options {
	from, err := install.ParseFrom([]string{"10.0.8.0/24", "2001:db8::7"})
	if err != nil {
		i.t.Fatal(err)
	}
	return install.Options{
		Image: true, Binary: i.binary, Firewall: true, From: from, Serial: true,
		Listeners: []install.Listener{
			{Name: "https", Network: "tcp", Address: ":443"}, {Name: "health", Network: "tcp", Address: "127.0.0.1:3000"},
			{Name: "mqtt", Network: "tcp", Address: "10.0.0.1:8883"}, {Name: "link_udp", Network: "udp", Address: ":5427"},
		},
	}
}

// apply does the steps and returns how many had something to do.
func (i *image) apply(steps []install.Step, err error) (changed int) {
	i.t.Helper()
	if err == nil {
		err = install.Apply(i.t.Context(), i.Target, steps, func(_ install.Step, c bool) {
			if c {
				changed++
			}
		})
	}
	if err != nil {
		i.t.Fatal(err)
	}
	return changed
}

// files returns what is in the image: mode, owner as it was given, path.
func (i *image) files() []string {
	var list []string
	err := filepath.WalkDir(i.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		name := strings.TrimPrefix(path, i.Root)
		line := fmt.Sprintf("%v %s", info.Mode(), name)
		if owner := i.owners[name]; owner != "" {
			line += " " + owner
		}
		if target, err := os.Readlink(path); err == nil {
			line += " -> " + target
		}
		list = append(list, line)
		return err
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return list
}

func (i *image) golden(name string) {
	i.t.Helper()
	testkit.Golden(i.t, name, []byte(strings.Join(i.files(), "\n")+"\n"))
}

func TestInstallAndUninstallFileByFile(t *testing.T) {
	i := newImage(t)
	before := i.files()
	if changed := i.apply(install.Install(i.options())); changed == 0 {
		t.Fatal("nothing was done")
	}
	i.golden("installed.txt")
	if passwd := i.read("etc/passwd"); !strings.HasSuffix(passwd, "penstock:x:998:998:Penstock gateway:/var/lib/penstock:/usr/sbin/nologin\n") {
		t.Errorf("the accounts are\n%s", passwd)
	}
	if shadow := i.read("etc/shadow"); !strings.HasSuffix(shadow, "\npenstock:!:::::::\n") {
		t.Errorf("the passwords are\n%s", shadow)
	}
	installed := i.files()
	if changed := i.apply(install.Install(i.options())); changed != 0 || !slices.Equal(installed, i.files()) {
		t.Errorf("the second time %d steps had something to do", changed)
	}

	i.write("var/lib/penstock/spool/1", "an accepted report")
	i.apply(install.Uninstall(install.Options{Image: true}, false))
	i.golden("uninstalled.txt")
	i.apply(install.Uninstall(install.Options{Image: true}, true))
	left := slices.DeleteFunc(i.files(), func(line string) bool { return strings.HasPrefix(line, "d") })
	was := slices.DeleteFunc(before, func(line string) bool { return strings.HasPrefix(line, "d") })
	if !slices.Equal(left, was) {
		t.Errorf("after a purge there is\n%s\nand before there was\n%s", strings.Join(left, "\n"), strings.Join(was, "\n"))
	}
	if passwd := i.read("etc/passwd"); strings.Contains(passwd, "penstock") || !strings.Contains(passwd, "taken") {
		t.Errorf("the accounts are\n%s", passwd)
	}
}

func TestWhatIsTheOperatorsStays(t *testing.T) {
	i := newImage(t)
	i.write(install.Config, "mine")
	i.write(install.Keys+"/kek", "my key")
	i.apply(install.Install(i.options()))
	i.write("etc/systemd/system/penstock.service.d/mine.conf", "[Service]")
	i.write("etc/systemd/system/penstock.service", "changed")
	i.apply(install.Install(i.options()))
	if i.read(install.Config) != "mine" || i.read(install.Keys+"/kek") != "my key" {
		t.Error("the configuration or the key was replaced")
	}
	if unit := i.read("etc/systemd/system/penstock.service"); !strings.Contains(unit, "ExecStart=/usr/local/bin/penstock serve --config /etc/penstock/penstock.yaml") {
		t.Errorf("the unit is\n%s", unit)
	}
	i.apply(install.Uninstall(install.Options{Image: true}, true))
	if i.read("etc/systemd/system/penstock.service.d/mine.conf") != "[Service]" {
		t.Error("the operator's drop-in has gone")
	}
}

func TestAFailedStepIsNamed(t *testing.T) {
	i := newImage(t)
	i.Key = func(string) error { return errors.New("no entropy") }
	steps, err := install.Install(i.options())
	if err != nil {
		t.Fatal(err)
	}
	err = install.Apply(t.Context(), i.Target, steps, func(install.Step, bool) {})
	if err == nil || !strings.Contains(err.Error(), "key /etc/penstock/keys/kek") || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("the error is %v", err)
	}
}

func TestOptionsThatDoNotGoTogether(t *testing.T) {
	for _, o := range []install.Options{{Firewall: true}, {Part: "half"}} {
		if _, err := install.Install(o); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := install.ParseFrom([]string{"10.0.0.0/8", "lb.example"}); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a name is a network: %v", err)
	}
}

func TestUpgradeKeepsTheProgramBefore(t *testing.T) {
	i := newImage(t)
	steps, err := install.Upgrade(i.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := install.Apply(t.Context(), i.Target, steps, func(install.Step, bool) {}); penstock.CodeOf(err) != penstock.NotFound {
		t.Errorf("without an installation: %v", err)
	}
	i.apply(install.Install(i.options()))
	if err := os.WriteFile(i.binary, []byte("the next one"), 0o600); err != nil {
		t.Fatal(err)
	}
	i.apply(install.Upgrade(i.options()))
	if i.read(install.Program) != "the next one" || i.read(install.Program+".previous") != "the program" {
		t.Error("the programs are not where they should be")
	}
}

// TestUnitsHold has systemd itself judge the units, without running them.
func TestUnitsHold(t *testing.T) {
	i := newImage(t)
	o := i.options()
	o.Serial = false // serial lines need devices, which costs
	i.apply(install.Install(o))
	units := filepath.Join(i.Root, "etc/systemd/system")
	// What the units refer to is that of any machine.
	for _, name := range []string{"sysinit.target", "multi-user.target", "sockets.target", "basic.target", "network-online.target", "network-pre.target", "shutdown.target", "time-sync.target", "local-fs.target"} {
		i.write("etc/systemd/system/"+name, "[Unit]\nDefaultDependencies=no\n")
	}
	for _, name := range []string{"bin/kill", "usr/sbin/nft", "usr/local/bin/penstock"} {
		i.write(name, "")
		if err := os.Chmod(filepath.Join(i.Root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	all, err := filepath.Glob(filepath.Join(units, "penstock*.s*"))
	if err != nil || len(all) < 4 {
		t.Fatalf("the units are %q, %v", all, err)
	}
	args := []string{"verify", "--man=no", "--root=" + i.Root}
	for _, unit := range all {
		if filepath.Ext(unit) == ".service" || filepath.Ext(unit) == ".socket" {
			args = append(args, strings.TrimPrefix(unit, i.Root))
		}
	}
	if out, err := exec.Command("systemd-analyze", args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze %q: %v\n%s", args, err, out)
	}
	cmd := exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", filepath.Join(units, "penstock.service"))
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8")
	out, err := cmd.CombinedOutput()
	found := regexp.MustCompile(`exposure level for penstock.service: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 1.0 {
		t.Errorf("the exposure is %s:\n%s", found[1], out)
	}
	if strings.Contains(string(out), "penstock.service:") && strings.Contains(string(out), "Unknown") {
		t.Errorf("systemd does not know all of it:\n%s", out)
	}
}
