package amqp

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

// frameOf returns a frame as a broker sends it.
func frameOf(kind byte, payload []byte) []byte {
	b := append([]byte{kind, 0, 1}, binary.BigEndian.AppendUint32(nil, uint32(len(payload)))...)
	return append(append(b, payload...), 0xCE)
}

// delivery returns the frames of a message with a body of that size.
func delivery(size int) []byte {
	header := binary.BigEndian.AppendUint64([]byte{0, 60, 0, 0}, uint64(size))
	b := frameOf(1, []byte("deliver"))
	b = append(b, frameOf(headerFrame, append(header, 0, 0))...)
	return append(b, frameOf(3, make([]byte, size))...)
}

// What the library did not give up yet is bounded by bytes, however much the
// prefetch allows.
func TestNoMoreIsReadThanMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, gateway := net.Pipe()
		a := newAhead(gateway)
		const size = 1 << 20
		go func() {
			for range 10 {
				if _, err := broker.Write(delivery(size)); err != nil {
					return
				}
			}
			_, _ = broker.Write(delivery(2 * maxUntaken))
			broker.Close()
		}()
		read := make(chan int, 1000)
		total, whole := 0, len(delivery(size))
		go func() {
			defer close(read)
			b := make([]byte, 64<<10)
			for {
				n, err := a.Read(b)
				if read <- n; err != nil {
					return
				}
			}
		}()
		settle := func() {
			t.Helper()
			synctest.Wait()
			for len(read) > 0 {
				total += <-read
				synctest.Wait()
			}
		}
		settle()
		if total < 4*whole || total > 4*whole+100 {
			t.Fatalf("%d bytes were read, that is %d messages, before one was taken", total, total/whole)
		}
		for range 10 {
			a.taken(size)
			settle()
		}
		if want := 10*whole + len(delivery(2*maxUntaken)); total != want {
			t.Errorf("%d bytes were read in the end, not %d: the last message is larger than what may wait", total, want)
		}
		a.Close()
	})
}

func TestCloseEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, gateway := net.Pipe()
		a := newAhead(gateway)
		go func() { _, _ = broker.Write(append(delivery(maxUntaken), delivery(1)...)) }()
		failed := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, a)
			failed <- err
		}()
		synctest.Wait()
		a.Close()
		if err := <-failed; err == nil {
			t.Error("the wait ended well")
		}
		broker.Close()
	})
}

// Whatever a broker sends, it goes through as it came.
func FuzzAhead(f *testing.F) {
	f.Add(delivery(100), uint8(3))
	f.Add([]byte("AMQP\x00\x00\x09\x01"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		broker, gateway := net.Pipe()
		go func() {
			_, _ = broker.Write(stream)
			broker.Close()
		}()
		a := newAhead(gateway)
		defer a.Close()
		b, at := make([]byte, int(step)+1), 0
		for {
			n, err := a.Read(b)
			if at+n > len(stream) || string(b[:n]) != string(stream[at:at+n]) {
				t.Fatalf("at %d came %x", at, b[:n])
			}
			a.taken(maxUntaken)
			if at += n; err != nil {
				break
			}
		}
		if left := len(stream) - at; left >= frameHead+bodySizeEnds {
			t.Errorf("%d bytes are kept back", left)
		}
	})
}
