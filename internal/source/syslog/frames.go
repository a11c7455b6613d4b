package syslog

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/penstock/penstock"
)

const (
	maxMessage  = 64 << 10 // bytes of a message
	firstBuffer = 2 << 10  // most messages are shorter
)

// frames reads the messages of a stream (RFC 6587): each with its length before
// it, or each on a line of its own. Senders use both, and some mix them. Its buffer
// grows with what comes, for most connections are idle or bring short messages.
type frames struct {
	in   io.Reader
	buf  []byte // what was read and not taken
	room []byte // what buf is a part of
}

func newFrames(r io.Reader) *frames { return &frames{in: r} }

// buffered returns how many bytes are at hand.
func (f *frames) buffered() int { return len(f.buf) }

// fill reads more behind what is there. It makes room for that; whoever calls it
// holds nothing of the buffer.
func (f *frames) fill() error {
	if len(f.buf) == 0 && len(f.room) > firstBuffer {
		f.room = nil // a long message is no reason to keep room for ever
	}
	if len(f.buf) == len(f.room) {
		f.room = make([]byte, min(max(2*len(f.room), firstBuffer), maxMessage))
	}
	n := copy(f.room, f.buf)
	got, err := io.ReadAtLeast(f.in, f.room[n:], 1)
	f.buf = f.room[:n+got]
	return err
}

// take takes n bytes out of the buffer. They hold until the next fill.
func (f *frames) take(n int) []byte {
	b := f.buf[:n]
	f.buf = f.buf[n:]
	return b
}

// next returns the next message, which holds until the next call; io.EOF at the
// end of the stream. After an error of code [penstock.TooLarge] or
// [penstock.Invalid] the bytes that came with it are lost, and nothing that
// follows can be trusted.
func (f *frames) next() ([]byte, error) {
	for {
		if len(f.buf) == 0 {
			if err := f.fill(); err != nil {
				return nil, err
			}
		}
		if f.buf[0] >= '1' && f.buf[0] <= '9' {
			return f.counted()
		}
		line, err := f.line()
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			return line, err
		}
		if line = bytes.TrimRight(line, "\r\n\x00"); len(line) > 0 {
			return line, nil
		}
	}
}

// line reads up to the end of a line, or of the stream.
func (f *frames) line() ([]byte, error) {
	for seen := 0; ; {
		if i := slices.Index(f.buf[seen:], '\n'); i >= 0 {
			return f.take(seen + i + 1), nil
		}
		if seen = len(f.buf); seen >= maxMessage {
			return f.take(seen), penstock.Errorf(penstock.TooLarge, "a line of more than %d bytes", maxMessage)
		}
		if err := f.fill(); err != nil {
			return f.take(len(f.buf)), err
		}
	}
}

// counted reads LENGTH SP MESSAGE.
func (f *frames) counted() ([]byte, error) {
	size, digits := 0, 0
	for {
		if err := f.need(digits + 1); err != nil {
			return nil, err
		}
		c := f.buf[digits]
		if c == ' ' {
			break
		}
		if c < '0' || c > '9' || digits == 7 {
			head := f.buf[:digits+1]
			return head, penstock.Errorf(penstock.Invalid, "a message begins with a digit and no length: %q", head)
		}
		size, digits = size*10+int(c-'0'), digits+1
	}
	if size+digits+1 > maxMessage {
		return nil, penstock.Errorf(penstock.TooLarge, "a message of %d bytes is announced, and may have %d", size, maxMessage)
	}
	if err := f.need(digits + 1 + size); err != nil {
		return f.buf, err
	}
	return f.take(digits + 1 + size)[digits+1:], nil
}

// need reads until n bytes are at hand.
func (f *frames) need(n int) error {
	for len(f.buf) < n {
		if err := f.fill(); errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
	}
	return nil
}
