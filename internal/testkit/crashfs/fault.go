package crashfs

import (
	"strings"
	"syscall"
)

// Fault is an error that the file system gives. A write that fails leaves half
// of its bytes. A sync that fails leaves its pages clean and lost.
type Fault struct {
	Kind  Kind   // the operation, or Any
	Path  string // how its path ends; "" is any
	Skip  int    // so many of them succeed first
	Times int    // so many then fail; 0 is one, a negative number all
	Err   error  // nil is EIO
}

// Inject adds a fault. Faults added earlier are asked first.
func (fs *FS) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	if f.Err == nil {
		f.Err = syscall.EIO
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.faults = append(fs.faults, &f)
}

// Heal takes all faults away.
func (fs *FS) Heal() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.faults = nil
}

// SetCapacity makes the disk full when its files have so many bytes; 0 is no
// limit.
func (fs *FS) SetCapacity(bytes int64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.capacity = bytes
}

// Calls returns how many operations of any kind were asked for, those that
// failed too: the range of Skip for a Fault of kind Any.
func (fs *FS) Calls() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.calls
}

// fault returns the error that an operation must give. fs.mu is held.
func (fs *FS) fault(k Kind, path string) error {
	fs.calls++
	for _, f := range fs.faults {
		if f.Kind != Any && f.Kind != k || !strings.HasSuffix(path, f.Path) || f.Times == 0 {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f.Err
	}
	return nil
}

// Flip changes one bit of a file, on the disk and in what is read.
func (fs *FS) Flip(path string, bit int64) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, err := fs.lookup("flip", path)
	if err != nil {
		return err
	}
	if bit/8 >= int64(len(n.data)) {
		return pathError("flip", path, syscall.EINVAL)
	}
	n.data[bit/8] ^= 1 << (bit % 8)
	return nil
}
