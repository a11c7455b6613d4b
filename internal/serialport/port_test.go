//go:build linux

package serialport_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/serialport"
)

// line returns the other end of a line, and the device of ours.
func line(t *testing.T) (far *os.File, device string) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close(); near.Close() })
	return far, near.Name()
}

func open(t *testing.T, c serialport.Config) *serialport.Port {
	t.Helper()
	p, err := serialport.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestEveryBytePassesBothWays(t *testing.T) {
	far, device := line(t)
	p := open(t, serialport.Config{Device: device, Baud: 250_000, Parity: serialport.EvenParity, StopBits: 2})
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if _, err := far.Write(all); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 256)
	if err := p.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, all) {
		t.Errorf("in: % x, %v", got, err)
	}
	if _, err := p.Write(all); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, all) {
		t.Errorf("out: % x, %v", got, err)
	}
	if m := p.Marks(); m != (serialport.Marks{}) {
		t.Errorf("damages were seen that did not happen: %+v", m)
	}
	if c := p.Config(); c.Baud != 250_000 || c.DataBits != 8 || c.Parity != serialport.EvenParity {
		t.Errorf("%+v", c)
	}
}

func TestADeadlineEndsARead(t *testing.T) {
	_, device := line(t)
	p := open(t, serialport.Config{Device: device})
	if err := p.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestResetInputThrowsAway(t *testing.T) {
	far, device := line(t)
	p := open(t, serialport.Config{Device: device})
	far.Write([]byte{1, 2, 0xFF})
	one := make([]byte, 1)
	if _, err := p.Read(one); err != nil { // the bytes have come
		t.Fatal(err)
	}
	if err := p.ResetInput(); err != nil {
		t.Fatal(err)
	}
	far.Write([]byte{42})
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := p.Read(one); err != nil || one[0] != 42 {
		t.Errorf("read %d, %v", one[0], err)
	}
}

func TestAPtyHasNoCounters(t *testing.T) {
	_, device := line(t)
	if c, counts := open(t, serialport.Config{Device: device}).Counters(); counts {
		t.Errorf("%+v", c)
	}
}

func TestAnUnpluggedDeviceIsUnavailable(t *testing.T) {
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	p := open(t, serialport.Config{Device: near.Name()})
	read := make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		_, err := p.Read(make([]byte, 8))
		read <- err
	})
	far.Close()
	reader.Wait()
	if err := <-read; penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("a read that waited: %v", err)
	}
	if _, err := p.Read(make([]byte, 8)); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("a read: %v", err)
	}
	if _, err := p.Write([]byte{1}); penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("a write: %v", err)
	}
}

func TestCloseEndsARead(t *testing.T) {
	_, device := line(t)
	p := open(t, serialport.Config{Device: device})
	read := make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		_, err := p.Read(make([]byte, 8))
		read <- err
	})
	p.Close()
	reader.Wait()
	if err := <-read; penstock.CodeOf(err) != penstock.Closed {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	_, device := line(t)
	open(t, serialport.Config{Device: device})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, other := line(t)
	for _, c := range []struct {
		name   string
		config serialport.Config
		want   penstock.Code
	}{
		{"a device that is open already", serialport.Config{Device: device}, penstock.Unavailable},
		{"no device", serialport.Config{Device: file + "-none"}, penstock.NotFound},
		{"a file", serialport.Config{Device: file}, penstock.Unsupported},
		{"RS-485 that the driver does not know", serialport.Config{Device: other, RS485: &serialport.RS485{}}, penstock.Unsupported},
		{"what is not valid", serialport.Config{Device: other, Baud: 1}, penstock.Invalid},
	} {
		if _, err := serialport.Open(c.config); penstock.CodeOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	open(t, serialport.Config{Device: other}) // the refusals gave it back
}
