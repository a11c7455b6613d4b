package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// command runs a program and returns what it prints.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// build makes a package of this tree and returns its path.
func build(t *testing.T, program string) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, ".", "./tree", program, program, tree)
	deb := filepath.Join(t.TempDir(), "penstock.deb")
	if err := run([]string{"-tree", tree, "-arch", runtime.GOARCH, "-version", "0.1.0", "-scripts", "scripts", "-time", "1700000000", "-o", deb}); err != nil {
		t.Fatal(err)
	}
	return deb
}

// TestPackage installs the package with dpkg below a scratch root, upgrades it,
// removes it and purges it.
func TestPackage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "penstock")
	command(t, "..", "go", "build", "-trimpath", "-o", program, "./cmd/penstock")
	deb := build(t, program)
	first, err := os.ReadFile(deb)
	again, errAgain := os.ReadFile(build(t, program))
	if err := errors.Join(err, errAgain); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second package differs: %v", err)
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"var/lib/dpkg/status": "", "var/lib/dpkg/info/format": "1\n", "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/shadow": "root:*:::::::\n",
	} {
		write(t, filepath.Join(root, name), text)
	}
	if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg/updates"), 0o755); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) string {
		return command(t, ".", "dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-not-root", "--force-architecture", "--log=/dev/null"}, args...)...)
	}
	there := func(wanted bool, names ...string) {
		t.Helper()
		for _, name := range names {
			if _, err := os.Lstat(filepath.Join(root, name)); (err == nil) != wanted {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	files := []string{"usr/bin/penstock", "usr/lib/systemd/system/penstock.service", "usr/lib/systemd/system/penstock.socket", "usr/share/man/man1/penstock-doctor.1.gz", "usr/share/doc/penstock/copyright", "usr/lib/penstock/root/proc"}
	kept := []string{"etc/penstock/penstock.yaml", "etc/penstock/keys/kek", "var/lib/penstock"}
	enabled := "etc/systemd/system/multi-user.target.wants/penstock.service"

	dpkg("--install", deb)
	there(true, files...)
	there(true, kept...)
	there(true, enabled)
	for name, mode := range map[string]os.FileMode{"etc/penstock": 0o750, "etc/penstock/penstock.yaml": 0o640, "etc/penstock/keys": 0o700, "etc/penstock/keys/kek": 0o600, "var/lib/penstock": 0o750, "usr/bin/penstock": 0o755} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if unit := read(t, root, "usr/lib/systemd/system/penstock.service"); !strings.Contains(unit, "ExecStart=/usr/bin/penstock serve") {
		t.Errorf("the unit is\n%s", unit)
	}
	if accounts := read(t, root, "etc/passwd"); !strings.Contains(accounts, "penstock:x:999:999:Penstock gateway:/var/lib/penstock:/usr/sbin/nologin") {
		t.Errorf("the accounts are\n%s", accounts)
	}
	key := read(t, root, "etc/penstock/keys/kek")
	write(t, filepath.Join(root, "etc/penstock/penstock.yaml"), "unknown: hold\n")
	write(t, filepath.Join(root, "var/lib/penstock/spool/1"), "an accepted report")

	dpkg("--install", "--force-confold", deb) // an upgrade
	if read(t, root, "etc/penstock/penstock.yaml") != "unknown: hold\n" || read(t, root, "etc/penstock/keys/kek") != key {
		t.Error("the upgrade replaced the configuration or the key")
	}
	dpkg("--remove", "penstock")
	there(false, files...)
	there(false, enabled)
	there(true, append(kept, "var/lib/penstock/spool/1")...)
	dpkg("--purge", "penstock")
	there(false, kept...)
	if accounts := read(t, root, "etc/passwd") + read(t, root, "etc/group") + read(t, root, "etc/shadow"); strings.Contains(accounts, "penstock") {
		t.Errorf("the accounts are\n%s", accounts)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
