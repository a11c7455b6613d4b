package ingest

import (
	"bytes"
	"io"
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// lines handles NDJSON: parts of the body are submitted as they come, a few of
// them under way at once, and their results are gathered in order. After the
// first part that fails as a whole nothing more is judged for this answer.
func (h *Handler) lines(c *web.Call, head header) error {
	p := &pump{h: h, c: c, head: head, answer: h.newAnswer(c, head.key)}
	defer p.answer.free()
	read := p.run
	if head.gzip {
		read = func(r io.Reader) error { return c.Inflate(r, p.run) }
	}
	var failure error
	if head.hasChecksum {
		failure = h.checked(c, head, read)
	} else {
		failure = read(c.RawBody())
	}
	return p.answer.finish(failure)
}

// checked handles a body with a checksum over all of it: nothing is judged
// before the checksum holds, so the body must fit in memory.
func (h *Handler) checked(c *web.Call, head header, read func(io.Reader) error) (err error) {
	b := c.NewBody()
	defer func() { release(b, err) }()
	if err := b.ReadAll(c.RawBody(), h.limits.Body); err != nil {
		return err
	}
	if checksum(b.Bytes) == head.checksum {
		return read(bytes.NewReader(b.Bytes))
	}
	t, err := h.submit(c, head, b.Bytes)
	if err != nil {
		return err
	}
	if _, err := h.outcome(c, t); err != nil {
		return err
	}
	return penstock.Errorf(penstock.Corrupt, "The checksum %08x does not hold over the body.", head.checksum)
}

// pump submits a body part by part and gathers the results.
type pump struct {
	h      *Handler
	c      *web.Call
	head   header
	answer answer
	parts  []part // under way, in order
	failed error  // the first failure, in the order of the body
}

type part struct {
	ticket penstock.Ticket
	body   *web.Body
}

// run reads r to its end or to the first failure, which it returns. Results of
// what came before the failure are in the answer.
func (p *pump) run(r io.Reader) error {
	l := &lineReader{r: r, maxBytes: p.h.limits.Chunk, maxLines: p.h.limits.Lines}
	var broken error // of what comes behind the parts under way
	for n, more := 0, true; more && p.failed == nil && broken == nil; n++ {
		if len(p.parts) == p.h.limits.Depth {
			p.settle()
		}
		more, broken = p.submit(l, n)
	}
	for len(p.parts) > 0 {
		p.settle()
	}
	if p.failed == nil {
		p.failed = broken
	}
	return p.failed
}

// submit reads and submits the n-th part, and tells whether another may follow.
func (p *pump) submit(l *lineReader, n int) (more bool, err error) {
	b := p.c.NewBody()
	more, err = l.next(b)
	if err != nil || len(b.Bytes) == 0 && n > 0 {
		b.Free()
		return false, err
	}
	head := p.head
	if head.key != "" && n > 0 {
		head.key += "/c" + strconv.Itoa(n) // the same in every resend, see lineReader
	}
	if head.hasChecksum {
		head.checksum = checksum(b.Bytes)
	}
	t, err := p.h.submit(p.c, head, b.Bytes)
	if err != nil {
		b.Free()
		return false, err
	}
	p.parts = append(p.parts, part{ticket: t, body: b})
	return more, nil
}

// settle waits for the oldest part and adds its results, unless one before it
// failed.
func (p *pump) settle() {
	oldest := p.parts[0]
	p.parts = append(p.parts[:0], p.parts[1:]...)
	verdicts, err := p.h.outcome(p.c, oldest.ticket)
	defer release(oldest.body, err)
	if p.failed != nil {
		return
	}
	if p.failed = err; err == nil {
		p.failed = p.answer.add(verdicts)
	}
}
