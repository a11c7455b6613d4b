package ingest

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/render"
	"github.com/penstock/penstock/internal/api/web"
)

// answer gathers the results of a request. They are held back until the status
// is known; results beyond what may be held are streamed with status 207.
type answer struct {
	c           *web.Call
	limit       int    // bytes of results that are held back
	key         string // of the request, empty for none
	buf         *web.Body
	count       int  // results
	bad         bool // a result is not accepted or duplicate
	keyConflict bool
	streaming   bool
	wait        commitment
	committed   bool // what was waited for has come
}

const answerHead = `{"results":[`

// computedLength is up to which length net/http says itself how long an answer is.
const computedLength = 1 << 10

func (h *Handler) newAnswer(c *web.Call, key string) answer {
	buf := c.NewBody()
	buf.Bytes = append(buf.Bytes, answerHead...)
	return answer{c: c, limit: h.limits.HeldAnswer, key: key, buf: buf}
}

func (a *answer) free() { a.buf.Free() }

// add appends the results of one envelope.
func (a *answer) add(vs []penstock.Verdict) error {
	for i := range vs {
		v := &vs[i]
		if a.count > 0 {
			a.buf.Bytes = append(a.buf.Bytes, ',')
		}
		a.buf.Bytes = render.AppendResult(a.buf.Bytes, v)
		a.count++
		if v.Result != penstock.Accepted && v.Result != penstock.Duplicate {
			a.bad = true
			if v.Reason == penstock.ReasonConflict && v.Identity.Form == penstock.Keyed && a.key != "" {
				a.keyConflict = true
			}
		}
	}
	if a.streaming || len(a.buf.Bytes) > a.limit || a.buf.Account() != nil {
		return a.stream()
	}
	return nil
}

// stream sends what is gathered so far, and the header before it.
func (a *answer) stream() error {
	if !a.streaming {
		a.streaming = true
		// The body is still being read: without this, HTTP/1.1 would read it to its
		// end before the first byte of the answer.
		if err := a.c.Control().EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		a.c.SetJSON()
		a.c.WriteHeader(http.StatusMultiStatus)
	}
	return a.c.SendNow(a.buf)
}

// finish sends the answer. A failure is why what came behind the results was not
// judged, nil for none.
func (a *answer) finish(failure error) error {
	if failure != nil && a.count == 0 {
		return failure
	}
	if a.keyConflict && !a.streaming {
		// The problem is written when the buffer has gone back.
		results := append(bytes.Clone(a.buf.Bytes[len(answerHead)-1:]), ']')
		return &problem.Error{Kind: problem.KeyReused, Detail: "The key " + strconv.Quote(a.key) + " came first with another body.", Results: results}
	}
	a.buf.Bytes = append(a.buf.Bytes, ']')
	if failure != nil {
		a.bad = true
		a.appendProblem(failure)
	}
	if a.wait.wanted {
		a.buf.Bytes = strconv.AppendBool(append(a.buf.Bytes, `,"committed":`...), a.committed)
	}
	a.buf.Bytes = append(a.buf.Bytes, '}', '\n')
	if a.streaming {
		return a.stream()
	}
	a.c.SetJSON()
	if len(a.buf.Bytes) > computedLength {
		a.c.Header().Set("Content-Length", strconv.Itoa(len(a.buf.Bytes)))
	}
	status := a.wait.status(a.committed)
	if a.bad {
		status = http.StatusMultiStatus
	}
	a.c.WriteHeader(status)
	_, err := a.c.Write(a.buf.Bytes)
	return err
}

func (a *answer) appendProblem(failure error) {
	p := problem.From(failure)
	if !a.streaming {
		p.SetRetryAfter(a.c.Header())
	}
	a.buf.Bytes = append(a.buf.Bytes, `,"problem":`...)
	a.buf.Bytes = append(a.buf.Bytes, p.JSON()...)
}
