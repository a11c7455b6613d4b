package syslog

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/penstock/penstock"
)

// maxMessage is how many bytes a message may have.
const maxMessage = 64 << 10

// frames reads the messages of a stream (RFC 6587): each with its length before
// it, or each on a line of its own. Senders use both, and some mix them.
type frames struct{ in *bufio.Reader }

func newFrames(r io.Reader) *frames { return &frames{bufio.NewReaderSize(r, maxMessage)} }

// next returns the next message, which holds until the next call; io.EOF at the
// end of the stream. After an error of code [penstock.TooLarge] or
// [penstock.Invalid] the bytes that came with it are lost, and nothing that
// follows can be trusted.
func (f *frames) next() ([]byte, error) {
	for {
		first, err := f.in.Peek(1)
		if err != nil {
			return nil, err
		}
		if first[0] >= '1' && first[0] <= '9' {
			return f.counted()
		}
		line, err := f.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return line, penstock.Errorf(penstock.TooLarge, "a line of more than %d bytes", maxMessage)
		}
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			return line, err
		}
		if line = bytes.TrimRight(line, "\r\n\x00"); len(line) > 0 {
			return line, nil
		}
	}
}

// counted reads LENGTH SP MESSAGE.
func (f *frames) counted() ([]byte, error) {
	size, digits := 0, 0
	for {
		head, err := f.in.Peek(digits + 1)
		if err != nil {
			return nil, unexpected(err)
		}
		c := head[digits]
		if c == ' ' {
			break
		}
		if c < '0' || c > '9' || digits == 7 {
			return head, penstock.Errorf(penstock.Invalid, "a message begins with a digit and no length: %q", head)
		}
		size, digits = size*10+int(c-'0'), digits+1
	}
	if size+digits+1 > maxMessage {
		return nil, penstock.Errorf(penstock.TooLarge, "a message of %d bytes is announced, and may have %d", size, maxMessage)
	}
	whole, err := f.in.Peek(digits + 1 + size)
	if err != nil {
		return whole, unexpected(err)
	}
	_, err = f.in.Discard(len(whole)) // it was peeked at: this cannot fail
	return whole[digits+1:], err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
