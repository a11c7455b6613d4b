package web

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
)

// Body is a buffer that lives as long as one request or a part of it. It has one
// owner at a time: the call until it is submitted, the pipeline until the ticket
// resolved, the call again. The zero Body is ready for use, without a budget.
type Body struct {
	Bytes []byte
	s     *Server
	taken int64
}

const (
	firstBuffer = 4 << 10
	maxPooled   = 128 << 10
	progress    = 64 << 10 // bytes that must come in an interval
)

// NewBody returns an empty buffer; its owner must free it.
func (c *Call) NewBody() *Body {
	b, ok := c.s.buffers.Get().(*Body)
	if !ok {
		b = new(Body)
	}
	b.s = c.s
	return b
}

// Account takes what is in the buffer from the budget of all requests.
func (b *Body) Account() error { return b.charge(int64(len(b.Bytes))) }

// charge takes from the budget what is missing to n bytes. Room that a pooled
// buffer brings along costs nothing until it is used: the pool is bounded by what
// was paid for once.
func (b *Body) charge(n int64) error {
	if n <= b.taken || b.s == nil {
		return nil
	}
	if err := b.s.use.take(n - b.taken); err != nil {
		return err
	}
	b.taken = n
	return nil
}

// Free returns the buffer. It is legal on nil.
func (b *Body) Free() {
	if b == nil || b.s == nil {
		return
	}
	s := b.s
	s.use.give(b.taken)
	b.taken, b.s, b.Bytes = 0, nil, b.Bytes[:0]
	if cap(b.Bytes) <= maxPooled {
		s.buffers.Put(b)
	}
}

// Abandon leaves the bytes to whoever still reads them.
func (b *Body) Abandon() { b.s.use.give(b.taken) }

// Grow makes room for at least one more byte, and at most limit in all.
func (b *Body) Grow(limit int64) error {
	if len(b.Bytes) < cap(b.Bytes) {
		return b.Account()
	}
	size := min(int64(max(firstBuffer, 2*cap(b.Bytes))), limit)
	if err := b.charge(size); err != nil {
		return err
	}
	larger := make([]byte, len(b.Bytes), size)
	copy(larger, b.Bytes)
	b.Bytes = larger
	return nil
}

// ReadAll reads r to its end; more than limit bytes are refused.
func (b *Body) ReadAll(r io.Reader, limit int64) error {
	for {
		if err := b.Grow(limit + 1); err != nil {
			return err
		}
		room := b.Bytes[len(b.Bytes):min(int64(cap(b.Bytes)), limit+1)]
		n, err := r.Read(room)
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		if int64(len(b.Bytes)) > limit {
			return penstock.Errorf(penstock.TooLarge, "The body has more than %d bytes after decompression.", limit)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return ReadError(err)
		}
	}
}

// ReadError says what a failure to read a body means.
func ReadError(err error) error {
	var p *problem.Error
	var e *penstock.Error
	switch {
	case errors.As(err, &p), errors.As(err, &e):
		return err
	case expired(err):
		return problem.New(problem.Timeout, "The body came too slowly.")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF):
		return penstock.Errorf(penstock.Invalid, "The body breaks off or is not what Content-Encoding says: %w", err)
	}
	return penstock.Errorf(penstock.Invalid, "The body cannot be read: %w", err)
}

// RawBody returns the body as it comes, counted, with a deadline for each part
// of it.
func (c *Call) RawBody() io.Reader { return (*rawReader)(c) }

// rawReader is a call as the reader of its body.
type rawReader Call

func (r *rawReader) Read(p []byte) (int, error) {
	n, err := r.R.Body.Read(p)
	r.read += int64(n)
	if r.read >= r.renewed+progress {
		r.renewed = r.read
		c := (*Call)(r)
		// A deadline that cannot be set is one of a connection that is gone.
		_ = c.Control().SetReadDeadline(time.Now().Add(c.s.limits.Progress))
		_ = c.Control().SetWriteDeadline(time.Now().Add(c.s.limits.Answer))
	}
	return n, err
}

// maxRatio is how many times a body may grow by decompression, beyond an
// allowance: reports repeat themselves, and bombs do so much more.
const (
	maxRatio       = 256
	ratioAllowance = 1 << 20
)

// Inflate calls read with what r holds compressed.
func (c *Call) Inflate(r io.Reader, read func(io.Reader) error) error {
	z, ok := c.s.inflaters.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer c.s.inflaters.Put(z)
	in := &countingReader{r: r}
	if err := z.Reset(in); err != nil {
		return ReadError(err)
	}
	return read(&ratioReader{in: in, z: z})
}

type countingReader struct {
	r io.Reader
	n int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	return n, err
}

type ratioReader struct {
	in  *countingReader
	z   *gzip.Reader
	out int64
}

func (r *ratioReader) Read(p []byte) (int, error) {
	n, err := r.z.Read(p)
	r.out += int64(n)
	if r.out-ratioAllowance > r.in.n*maxRatio {
		return n, penstock.Errorf(penstock.TooLarge, "The body grows by decompression to more than %d times its size.", maxRatio)
	}
	return n, err
}

var _ http.ResponseWriter = (*Call)(nil)
