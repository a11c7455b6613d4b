package bom_test

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// buildIn builds the gateway of the tree as 'make dist' does, but without the
// history, which a copy does not have.
func buildIn(t *testing.T, tree string, more ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "penstock")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", binary, "./cmd/penstock")
	build.Dir = tree
	build.Env = append(append(os.Environ(), "CGO_ENABLED=0"), more...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// TestTwoBuildsAreEqual builds the gateway in two directories. With
// PENSTOCK_TORTURE=1 the second build begins with nothing that the first one made.
func TestTwoBuildsAreEqual(t *testing.T) {
	other := filepath.Join(t.TempDir(), "elsewhere", "penstock")
	copyTree(t, "../..", other)
	var fresh []string
	if os.Getenv("PENSTOCK_TORTURE") == "1" {
		fresh = append(fresh, "GOCACHE="+t.TempDir())
	}
	first, err := os.ReadFile(buildIn(t, "../.."))
	second, errSecond := os.ReadFile(buildIn(t, other, fresh...))
	if err := errors.Join(err, errSecond); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("two builds of one tree differ: %d and %d bytes", len(first), len(second))
	}
	if here, err := filepath.Abs("../.."); err != nil || bytes.Contains(second, []byte(other)) || bytes.Contains(first, []byte(here+"/")) {
		t.Errorf("a path of the machine stands in the program: %v", err)
	}
}

// copyTree copies what the build needs of the module.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		name := entry.Name()
		switch {
		case entry.IsDir() && (strings.HasPrefix(name, ".") && name != "." && name != ".." || name == "node_modules" || relative == "bin" || relative == "dist"):
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		case !entry.Type().IsRegular() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAnEmptyRoot runs the gateway where there is nothing but its own file: no
// libc, no other program, no configuration of the machine.
func TestAnEmptyRoot(t *testing.T) {
	binary := buildIn(t, "../..")
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := file.ImportedLibraries()
	if err := errors.Join(err, file.Close()); err != nil || len(libraries) > 0 {
		t.Errorf("the program needs %v, %v", libraries, err)
	}
	root := t.TempDir()
	if err := errors.Join(os.Rename(binary, filepath.Join(root, "penstock")), os.Chmod(root, 0o755)); err != nil {
		t.Fatal(err)
	}
	inRoot := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "/penstock", args...)
		cmd.Dir, cmd.Env = "/", []string{"PENSTOCK_LISTEN_HTTPS=127.0.0.1:0", "PENSTOCK_LISTEN_HEALTH=off"}
		// A user namespace, in which anybody may change the root.
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot: root, Cloneflags: syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		return cmd
	}
	if out, err := inRoot(t.Context(), "version").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "penstock ") {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var messages bytes.Buffer
	serve := inRoot(ctx, "serve", "--data", "/data")
	serve.Stderr = &messages
	stdout, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 8)
	if _, err := stdout.Read(first); err != nil || string(first) != "Penstock" {
		t.Errorf("it does not start: %q, %v", first, err)
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("it does not stop well: %v\n%s", err, messages.String())
	}
}
