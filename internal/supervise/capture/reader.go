package capture

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// maxLine is the longest line in bytes; what is longer comes in pieces.
const maxLine = 16 << 10

// Read reads lines until the end of r and shows each, with the severity that it
// says it has or else the given one.
func Read(r io.Reader, otherwise Severity, show func(Severity, string)) error {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) > 0 {
			severity, text := judge(line, otherwise)
			show(severity, strings.ToValidUTF8(string(text), "\ufffd"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}
