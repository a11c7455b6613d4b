package backup

import "github.com/cockroachdb/pebble/v2/vfs"

// Disk returns the file system of this machine.
func Disk() vfs.FS { return vfs.Default }
