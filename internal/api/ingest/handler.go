package ingest

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// Media types of reports, beside [web.JSONType].
const (
	mediaNDJSON = "application/x-ndjson"
	mediaBinary = "application/vnd.penstock.reports"
	// mediaForwarded is that of reports which another gateway hands on.
	mediaForwarded = "application/vnd.penstock.forwarded"
)

// Limits bound what one request can ask. A limit of 0 is the default.
type Limits struct {
	Body        int64         // bytes of a body that is one document or has a checksum, after decompression: 8 MiB
	Chunk       int           // bytes of the part of an NDJSON body that is submitted at once, and of a line: 1 MiB
	Lines       int           // lines of such a part: 1,000
	Depth       int           // parts of one request under way at once: 4
	HeldAnswer  int           // bytes of results held back until the status is known: 4 MiB
	Acknowledge time.Duration // to wait for a ticket: 30 s
	Commit      time.Duration // to wait for the record, where the sender asks for that: 25 s
	Waiting     int           // requests that wait for the record at once: 256
}

func (l Limits) withDefaults() Limits {
	web.Default(&l.Body, 8<<20)
	web.Default(&l.Chunk, 1<<20)
	web.Default(&l.Lines, 1_000)
	web.Default(&l.Depth, 4)
	web.Default(&l.HeldAnswer, 4<<20)
	web.Default(&l.Acknowledge, 30*time.Second)
	web.Default(&l.Commit, 25*time.Second)
	web.Default(&l.Waiting, 256)
	return l
}

// Handler answers POST /v1/reports.
type Handler struct {
	source  string
	record  Record
	limits  Limits
	next    atomic.Pointer[penstock.Handler]
	waiting atomic.Int64 // requests that want to know of the record
}

// New returns a handler whose envelopes carry the source's name. It refuses
// reports as unavailable until [Handler.Connect].
func New(source string, record Record, l Limits) *Handler {
	return &Handler{source: source, record: record, limits: l.withDefaults()}
}

// Connect says who takes the envelopes from now on.
func (h *Handler) Connect(next penstock.Handler) { h.next.Store(&next) }

// Routes returns the handler's part of the table of routes.
func (h *Handler) Routes() []web.Route {
	return append(h.writeRoutes(), web.Route{
		Method: http.MethodPost, Path: "/v1/reports", Access: web.Controller, Serve: h.reports, Refuses: true,
		Summary: "Send reports",
		Details: "Answers when every report is durable or refused, with a result a report, in their order: 200 when all are accepted or duplicate, 207 when any is not. " +
			"NDJSON may be of any length; an answer too long to be held back is streamed with status 207, whatever the results. " +
			"A member problem after the results says why the reports behind them were not judged: send those again. " +
			"With wait=committed it answers when the record has settled what was accepted, with a member committed: true; " +
			"when it has not in time, or too many wait already, committed is false and the status 202: send the same again, which stores nothing twice.",
		Params: []web.Param{
			{In: "query", Name: "wait", Doc: "committed: answer when the record has settled the reports, too. Not with NDJSON.", Example: "committed"},
			{In: "header", Name: "Prefer", Doc: "With wait=committed: wait=N for how many seconds at most (RFC 7240); 25 when it is more, or not there.", Example: "wait=10"},
			{In: "query", Name: "mapping", Doc: "Name of a mapping that is declared in the configuration. It decodes the body, which is taken whole, whatever its Content-Type.", Example: "chirpstack"},
			{In: "header", Name: "Penstock-Crc32", Doc: "CRC-32/ISO-HDLC of the body as sent, 8 hexadecimal digits. Nothing is judged before it holds.", Example: "cbf43926"},
			{In: "header", Name: "Idempotency-Key", Doc: "Names the request, for reports that have no identity of their own: a resend with the same key and body is a duplicate. At most 230 printable characters, plain or as a quoted string."},
			{In: "header", Name: "Content-Encoding", Doc: "gzip or identity.", Example: "gzip"},
		},
		Body: []web.Media{
			{Name: web.JSONType, Of: reflect.TypeFor[[]Report]()}, {Name: mediaNDJSON, Of: reflect.TypeFor[Report]()}, {Name: mediaBinary}, {Name: mediaForwarded},
		},
		Answer: []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Results]()}},
		Status: []int{http.StatusOK, http.StatusAccepted, http.StatusMultiStatus},
	})
}

func (h *Handler) reports(c *web.Call) error {
	if c.Denied != nil {
		return h.refuse(c)
	}
	head, err := parseHeader(c.R, c.Value("mapping"))
	if err != nil {
		return err
	}
	wait, err := h.parseWait(c, head)
	if err != nil {
		return err
	}
	if head.media == mediaNDJSON {
		return h.lines(c, head)
	}
	return h.document(c, head, wait)
}

// refuse has the pipeline refuse a sender that is not known, without reading its
// body, so that the refusal is limited and booked like those of all sources.
func (h *Handler) refuse(c *web.Call) error {
	t, err := h.submit(c, header{}, nil)
	if err != nil {
		return err
	}
	if _, err := h.outcome(c, t); err != nil {
		return err
	}
	return c.Denied
}

// document handles a body that is submitted whole.
func (h *Handler) document(c *web.Call, head header, wait commitment) error {
	defer h.begin(&wait)()
	verdicts, err := h.whole(c, head)
	if err != nil {
		return err
	}
	a := h.newAnswer(c, head.key)
	defer a.free()
	a.wait, a.committed = wait, wait.isCommitted(c, verdicts)
	if err := a.add(verdicts); err != nil {
		return err
	}
	return a.finish(nil)
}

// whole reads a body, submits it and waits for what becomes of it.
func (h *Handler) whole(c *web.Call, head header) (_ []penstock.Verdict, err error) {
	b := c.NewBody()
	defer func() { release(b, err) }()
	if err := h.readDocument(c, &head, b); err != nil {
		return nil, err
	}
	t, err := h.submit(c, head, b.Bytes)
	if err != nil {
		return nil, err
	}
	return h.outcome(c, t)
}

// readDocument reads the whole body into b as the pipeline takes it. A checksum
// of compressed bytes is replaced by one of what they hold, when it holds; when
// it does not, b has the bytes as they came, and the pipeline refuses and books
// them.
func (h *Handler) readDocument(c *web.Call, head *header, b *web.Body) error {
	limit := h.limits.Body
	if c.R.ContentLength > limit {
		return penstock.Errorf(penstock.TooLarge, "The body has %d bytes, and may have %d.", c.R.ContentLength, limit)
	}
	raw := c.RawBody()
	if !head.gzip {
		return b.ReadAll(raw, limit)
	}
	if !head.hasChecksum {
		return c.Inflate(raw, func(r io.Reader) error { return b.ReadAll(r, limit) })
	}
	packed := c.NewBody()
	defer packed.Free()
	if err := packed.ReadAll(raw, limit); err != nil {
		return err
	}
	if checksum(packed.Bytes) != head.checksum {
		b.Bytes = append(b.Bytes, packed.Bytes...)
		return b.Account()
	}
	err := c.Inflate(bytes.NewReader(packed.Bytes), func(r io.Reader) error { return b.ReadAll(r, limit) })
	head.checksum = checksum(b.Bytes)
	return err
}

// checksum is CRC-32/ISO-HDLC.
func checksum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// submit hands a body, or a part of one, to the pipeline.
func (h *Handler) submit(c *web.Call, head header, body []byte) (penstock.Ticket, error) {
	next := h.next.Load()
	if next == nil {
		return nil, penstock.RetryLater(penstock.Unavailable, time.Second, "The gateway is starting.")
	}
	return (*next).Submit(c.R.Context(), []penstock.Envelope{{
		Source:       h.source,
		Peer:         c.R.RemoteAddr,
		Credential:   c.Cred,
		ContentType:  head.media,
		Key:          head.key,
		Checksum:     head.checksum,
		HasChecksum:  head.hasChecksum,
		Properties:   followed(c.R),
		Body:         body,
		ReceivedTime: c.Now().UnixNano(),
	}}), nil
}

// followed returns the property by which a sender asks for its request to be
// followed, nil when it does not.
func followed(r *http.Request) penstock.Properties {
	const name = "Traceparent"
	parent := r.Header.Get(name)
	if parent == "" {
		return nil
	}
	return penstock.Properties{strings.ToLower(name): parent}
}

// errUnresolved marks the error of a ticket that did not resolve: the pipeline
// still reads the body.
var errUnresolved = errors.New("the ticket did not resolve")

// outcome waits for the ticket of one envelope as long as the caller does, and
// not for ever. Nothing may be promised on an error.
func (h *Handler) outcome(c *web.Call, t penstock.Ticket) ([]penstock.Verdict, error) {
	ctx, cancel := context.WithTimeout(c.R.Context(), h.limits.Acknowledge)
	defer cancel()
	out, err := t.Wait(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &penstock.Error{Code: penstock.Unavailable, RetryAfter: time.Second, Err: errUnresolved,
			Text: "The reports were not durable after " + h.limits.Acknowledge.String() + ". Whether they will be is not known: send them again."}
	case err != nil:
		return nil, err
	case len(out) != 1:
		return nil, penstock.Errorf(penstock.Internal, "one envelope was submitted, %d outcomes came", len(out))
	}
	return out[0].Verdicts, out[0].Err
}

// release gives a body back unless the pipeline may still read it.
func release(b *web.Body, err error) {
	if errors.Is(err, errUnresolved) {
		b.Abandon()
		return
	}
	b.Free()
}
