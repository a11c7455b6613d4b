package install

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/penstock/penstock"
)

// account is that of the gateway: with no shell, no password and no home that is
// its own.
type account struct{ name, home string }

const noShell = "/usr/sbin/nologin"

// String implements [Step].
func (a account) String() string {
	return fmt.Sprintf("account    %s, with a group of its own, home %s, shell %s", a.name, a.home, noShell)
}

// Apply implements [Step]. On this machine useradd does it, which keeps to the
// machine's own ranges and locks; an image has only its files.
func (a account) Apply(ctx context.Context, t *Target) (bool, error) {
	if _, err := t.id("etc/passwd", a.name); err == nil {
		return false, nil
	}
	if t.live() {
		return true, t.Run(ctx, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", a.home,
			"--shell", noShell, "--comment", "Penstock gateway", a.name)
	}
	id, err := t.freeID()
	if err != nil {
		return false, err
	}
	for _, entry := range []struct {
		file, line string
		mode       os.FileMode
		make       bool
	}{
		{"etc/passwd", fmt.Sprintf("%s:x:%d:%d:Penstock gateway:%s:%s", a.name, id, id, a.home, noShell), 0o644, true},
		{"etc/group", fmt.Sprintf("%s:x:%d:", a.name, id), 0o644, true},
		{"etc/shadow", a.name + ":!:::::::", 0o640, false},
		{"etc/gshadow", a.name + ":!::", 0o640, false},
	} {
		lines, err := t.lines(entry.file)
		if err != nil {
			return false, err
		}
		if lines == nil && !entry.make {
			continue
		}
		if err := t.replaceLines(entry.file, append(lines, entry.line), entry.mode); err != nil {
			return false, err
		}
	}
	return true, nil
}

// freeID returns the highest number of a system account that is free, for an
// account and for a group.
func (t *Target) freeID() (int, error) {
	const first, last = 100, 999
	taken := map[string]bool{}
	for _, file := range []string{"etc/passwd", "etc/group"} {
		lines, err := t.lines(file)
		if err != nil {
			return 0, err
		}
		for _, line := range lines {
			if fields := strings.Split(line, ":"); len(fields) > 2 {
				taken[fields[2]] = true
			}
		}
	}
	for id := last; id >= first; id-- {
		if !taken[fmt.Sprint(id)] {
			return id, nil
		}
	}
	return 0, penstock.Errorf(penstock.Full, "%s has no number between %d and %d left for a system account", t.path("etc/passwd"), first, last)
}

// replaceLines writes a file of accounts anew, with the mode and the owner it has.
func (t *Target) replaceLines(file string, lines []string, mode os.FileMode) error {
	if info, err := os.Stat(t.path(file)); err == nil {
		mode = info.Mode().Perm()
	}
	return t.writeFile(file, []byte(strings.Join(lines, "\n")+"\n"), mode)
}

// noAccount takes the account away.
type noAccount struct{ name string }

// String implements [Step].
func (n noAccount) String() string { return "remove     the account " + n.name }

// Apply implements [Step].
func (n noAccount) Apply(ctx context.Context, t *Target) (bool, error) {
	if _, err := t.id("etc/passwd", n.name); err != nil {
		return false, nil
	}
	if t.live() {
		return true, t.Run(ctx, "userdel", n.name)
	}
	for _, file := range []string{"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"} {
		lines, err := t.lines(file)
		if err != nil {
			return false, err
		}
		kept := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.HasPrefix(line, n.name+":") })
		if len(kept) == len(lines) {
			continue
		}
		if err := t.replaceLines(file, kept, 0o644); err != nil {
			return false, err
		}
	}
	return true, nil
}
