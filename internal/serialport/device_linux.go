package serialport

import (
	"errors"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock"
)

// terminal is a device of the kernel's terminal layer.
type terminal struct{ *os.File }

// openDevice opens the device of a valid configuration.
func openDevice(c *Config) (device, error) {
	// Without NONBLOCK the open would wait for a carrier, and reads would know no
	// deadline.
	f, err := os.OpenFile(c.Device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, openError(c.Device, err)
	}
	t := terminal{f}
	err = t.control(func(fd int) error {
		if err := claim(fd, c.Device); err != nil {
			return err
		}
		if err := configure(fd, c); err != nil {
			return err
		}
		return directRS485(fd, c)
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func openError(device string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return penstock.Errorf(penstock.NotFound, "there is no serial device %s: is the adapter plugged in?", device)
	case errors.Is(err, fs.ErrPermission):
		return penstock.Errorf(penstock.Forbidden, "this user may not open %s: make it a member of the group that owns the device, on Debian dialout", device)
	case errors.Is(err, unix.EBUSY):
		return inUse(device)
	}
	return penstock.Errorf(penstock.Unavailable, "cannot open %s: %w", device, err)
}

func inUse(device string) error {
	return penstock.Errorf(penstock.Unavailable, "another program has %s: end it, or name another device", device)
}

// claim keeps others away. The lock works between programs of root too, which
// exclusive mode does not hinder.
func claim(fd int, device string) error {
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return inUse(device)
	}
	if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
		return penstock.Errorf(penstock.Unsupported, "%s is not a serial device: %w", device, err)
	}
	return nil
}

// configure sets the terminal to raw bytes of the line's form.
func configure(fd int, c *Config) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return penstock.Errorf(penstock.Unsupported, "%s is not a serial device: %w", c.Device, err)
	}
	// INPCK has the driver look at stop bits too, with parity or without.
	t.Iflag = unix.PARMRK | unix.INPCK
	t.Oflag, t.Lflag = 0, 0
	// Without HUPCL closing leaves the signals alone: some devices restart with DTR.
	t.Cflag = unix.CREAD | unix.CLOCAL | unix.BOTHER | dataBits(c.DataBits)
	if c.StopBits == 2 {
		t.Cflag |= unix.CSTOPB
	}
	switch c.Parity {
	case EvenParity:
		t.Cflag |= unix.PARENB
	case OddParity:
		t.Cflag |= unix.PARENB | unix.PARODD
	}
	t.Ispeed, t.Ospeed = uint32(c.Baud), uint32(c.Baud)
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS2, t); err != nil {
		return penstock.Errorf(penstock.Unsupported, "the driver of %s refuses %d baud, %d data bits, parity %s, %d stop bits: %w",
			c.Device, c.Baud, c.DataBits, c.Parity, c.StopBits, err)
	}
	return checkBaud(fd, c)
}

func dataBits(n int) uint32 {
	return [...]uint32{5: unix.CS5, 6: unix.CS6, 7: unix.CS7, 8: unix.CS8}[n]
}

// checkBaud asks the driver which speed it really chose: a driver that cannot
// divide its clock so takes another and says nothing. A receiver stands about
// 2 % of difference.
func checkBaud(fd int, c *Config) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "%s does not answer: %w", c.Device, err)
	}
	if got := int64(t.Ospeed); got*100 < int64(c.Baud)*98 || got*100 > int64(c.Baud)*102 {
		return penstock.Errorf(penstock.Unsupported, "the driver of %s cannot do %d baud: it chose %d", c.Device, c.Baud, got)
	}
	return nil
}

// Flags and layout of struct serial_rs485 in the kernel's linux/serial.h.
const (
	rs485Enabled      = 1 << 0
	rs485RTSOnSend    = 1 << 1
	rs485RTSAfterSend = 1 << 2
	rs485RxDuringTx   = 1 << 4
	rs485TerminateBus = 1 << 5
)

type rs485Settings struct {
	flags, delayBefore, delayAfter uint32
	_                              [5]uint32
}

func directRS485(fd int, c *Config) error {
	r := c.RS485
	if r == nil {
		return nil
	}
	s := rs485Settings{
		flags: rs485Enabled | rs485RTSOnSend, delayBefore: uint32(r.DelayBefore.Milliseconds()), delayAfter: uint32(r.DelayAfter.Milliseconds()),
	}
	if r.RTSLow {
		s.flags = rs485Enabled | rs485RTSAfterSend
	}
	if r.Echo {
		s.flags |= rs485RxDuringTx
	}
	if r.Terminate {
		s.flags |= rs485TerminateBus
	}
	if err := ioctl(fd, unix.TIOCSRS485, unsafe.Pointer(&s)); err != nil {
		return penstock.Errorf(penstock.Unsupported,
			"the driver of %s cannot switch an RS-485 transceiver: leave out rs485 if the adapter does it by itself: %w", c.Device, err)
	}
	return nil
}

// serialICounter is struct serial_icounter_struct in the kernel's linux/serial.h.
type serialICounter struct {
	cts, dsr, rng, dcd, rx, tx, frame, overrun, parity, brk, bufOverrun int32
	_                                                                   [9]int32
}

func (t terminal) counters() (Counters, error) {
	var s serialICounter
	err := t.control(func(fd int) error { return ioctl(fd, unix.TIOCGICOUNT, unsafe.Pointer(&s)) })
	return Counters{
		Received: uint32(s.rx), Sent: uint32(s.tx), Framing: uint32(s.frame), Parity: uint32(s.parity),
		Breaks: uint32(s.brk), Overrun: uint32(s.overrun), BufferOverrun: uint32(s.bufOverrun),
	}, err
}

func (t terminal) discardInput() error {
	return t.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) })
}

// control runs do with the descriptor, which stays open as long.
func (t terminal) control(do func(fd int) error) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func ioctl(fd int, request uint, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}
