package ingest

import (
	"bytes"
	"io"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// lineReader cuts a body into parts of whole lines. Where it cuts depends on the
// bytes alone, so that a resend of the same body gives the same parts.
type lineReader struct {
	r        io.Reader
	maxBytes int
	maxLines int
	rest     []byte // read already, belongs to the next part
	line     int    // lines given so far
	end      bool
}

// next fills b with the next part and tells whether another may follow.
func (l *lineReader) next(b *web.Body) (more bool, err error) {
	b.Bytes = append(b.Bytes, l.rest...)
	l.rest = l.rest[:0]
	lines, cut := 0, 0
	for {
		for lines < l.maxLines {
			i := bytes.IndexByte(b.Bytes[cut:], '\n')
			if i < 0 {
				break
			}
			cut += i + 1
			lines++
		}
		switch {
		case lines == l.maxLines, len(b.Bytes) >= l.maxBytes && cut > 0:
			l.rest = append(l.rest, b.Bytes[cut:]...)
			b.Bytes = b.Bytes[:cut]
			l.line += lines
			return !l.end || len(l.rest) > 0, b.Account()
		case l.end:
			l.line += lines
			return false, b.Account()
		case len(b.Bytes) >= l.maxBytes:
			return false, penstock.Errorf(penstock.TooLarge, "Line %d of the body has more than %d bytes.", l.line+1, l.maxBytes)
		}
		if err := b.Grow(int64(l.maxBytes)); err != nil {
			return false, err
		}
		n, err := l.r.Read(b.Bytes[len(b.Bytes):min(cap(b.Bytes), l.maxBytes)])
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		if err == io.EOF {
			l.end = true
		} else if err != nil {
			return false, web.ReadError(err)
		}
	}
}
