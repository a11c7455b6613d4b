package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Account is the account that an installed gateway runs as.
const Account = "penstock"

// existing returns the directory, or the nearest one above it that is there.
func existing(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "/"
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			break
		}
	}
	return dir
}

// treeBytes returns the bytes of all files below a directory; what cannot be read
// counts nothing.
func treeBytes(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// bytes writes a number of bytes as people read it.
func bytes(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, name := float64(n)/unit, 0
	for ; value >= unit && name < 5; name++ {
		value /= unit
	}
	return fmt.Sprintf("%.4g %ciB", value, "KMGTPE"[name])
}

// gateway returns the process that holds the data directory, 0 for none.
func (x *examination) gateway() int {
	text, err := os.ReadFile(filepath.Join(x.Data, "lock"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	// The file stays when its process is killed, and the number may be another's
	// now: only the kernel's list of locks tells.
	locks, err := x.read("proc", "locks")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(locks) {
		if f := strings.Fields(line); len(f) > 4 && f[1] == "FLOCK" && f[4] == strconv.Itoa(pid) {
			return pid
		}
	}
	return 0
}

func checkAccount(_ context.Context, x *examination) []finding {
	const fix = "install it with 'penstock install', which makes an account of its own, and give it what it has kept: chown -R penstock: DIR"
	if pid := x.gateway(); pid != 0 {
		owner, err := x.Owner(x.path("proc", strconv.Itoa(pid)))
		if err == nil && owner.UID == 0 {
			return finding{trouble: broken, found: fmt.Sprintf("the gateway, process %d, runs as root", pid), fix: fix}.one()
		}
		if err == nil {
			return fine("the gateway, process %d, runs as user %d", pid, owner.UID).one()
		}
	}
	owner, err := x.Owner(x.Data)
	switch {
	case err == nil && owner.UID == 0:
		return finding{trouble: short, found: "the data directory is root's: a gateway ran as root there", fix: fix}.one()
	case err != nil && x.EUID == 0:
		return finding{trouble: short, found: "no gateway ran here yet, and this is root", fix: "install it with 'penstock install', or start it as another user"}.one()
	case err != nil:
		return fine("this is user %d, not root", x.EUID).one()
	}
	return fine("the data directory is that of user %d, not root's", owner.UID).one()
}

func checkDataDirectory(_ context.Context, x *examination) []finding {
	owner, err := x.Owner(x.Data)
	if errors.Is(err, fs.ErrNotExist) {
		above := existing(x.Data)
		if probe := x.try(above); probe != nil && x.EUID != 0 {
			return finding{trouble: broken, found: fmt.Sprintf("%s is not there and cannot be made: %v", x.Data, probe), fix: "make it: install -d -m 750 -o " + Account + " -g " + Account + " " + x.Data}.one()
		}
		return fine("%s is not there yet; the first start makes it", x.Data).one()
	}
	if err != nil {
		return finding{trouble: broken, found: err.Error(), fix: "run the doctor as root or as the account of the gateway"}.one()
	}
	f := fine("%s has mode %04o and is that of user %d", x.Data, owner.Mode, owner.UID)
	switch {
	case owner.Mode&0o007 != 0:
		f.trouble, f.fix = broken, "chmod 750 "+x.Data
	case owner.Mode&0o020 != 0:
		f.trouble, f.fix = short, "its group may write: chmod 750 "+x.Data
	case x.EUID != 0 && owner.UID != x.EUID:
		f.trouble, f.fix = short, "run the doctor as root or as the owner, to have it look into the directory"
	}
	if err := x.try(x.Data); f.trouble == none && err != nil {
		f.trouble, f.found, f.fix = broken, "nothing can be written there: "+err.Error(), "mount it for writing, and give it to the account of the gateway: chown -R "+Account+": "+x.Data
	}
	return f.one()
}

// try writes a file that goes away at once.
func (x *examination) try(dir string) error {
	return inScratch(func(*os.File) error { return nil })(dir)
}

func checkKeys(_ context.Context, x *examination) []finding {
	dir := x.Keys
	if dir == "" {
		dir = filepath.Join(x.Data, "keys")
	}
	file := filepath.Join(dir, "kek")
	owner, err := x.Owner(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && exists(filepath.Join(x.Data, "keys", "keyring")):
		return finding{trouble: broken, found: file + " is not there, and the data was sealed with it", fix: "put it back from its backup, with mode 0600; without it the data cannot be read"}.one()
	case errors.Is(err, fs.ErrNotExist):
		return fine("%s is not there yet; the first start makes it", file).one()
	case err != nil:
		return finding{trouble: short, found: err.Error(), fix: "run the doctor as root or as the account of the gateway"}.one()
	case owner.Mode&0o077 != 0:
		return finding{trouble: broken, found: fmt.Sprintf("%s has mode %04o: others can read it", file, owner.Mode), fix: "chmod 600 " + file}.one()
	case x.Keys == "" || within(x.Keys, x.Data):
		return finding{trouble: short, found: file + " lies in the data directory: each copy of the data has its key with it",
			fix: "move it to a directory of its own and set the key keys; 'penstock install' does, with LoadCredential"}.one()
	}
	return fine("%s lies apart from the data, mode %04o", file, owner.Mode).one()
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// within tells whether a path is dir or below it.
func within(name, dir string) bool {
	relative, err := filepath.Rel(dir, name)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, "../")
}
