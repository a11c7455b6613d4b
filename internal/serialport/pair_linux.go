package serialport

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
)

// OpenPair returns two ends of a line that is none: a pair of pseudo-terminals, for
// simulations. Whoever opens the device hears what is written to near, and the
// other way round; far keeps the line alive while nobody has the device open.
func OpenPair() (near, far *os.File, device string, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, "", penstock.Errorf(penstock.Unavailable, "/dev/ptmx: %w: a simulated line needs pseudo-terminals", err)
	}
	near = os.NewFile(uintptr(fd), "/dev/ptmx")
	fail := func(err error) (*os.File, *os.File, string, error) {
		near.Close() // nothing was written
		return nil, nil, "", penstock.Errorf(penstock.Unavailable, "a pseudo-terminal: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fail(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return fail(err)
	}
	settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fail(err)
	}
	settings.Iflag, settings.Oflag, settings.Lflag = 0, 0, 0
	settings.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, settings); err != nil {
		return fail(err)
	}
	device = fmt.Sprintf("/dev/pts/%d", n)
	if far, err = os.OpenFile(device, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return fail(err)
	}
	return near, far, device, nil
}
