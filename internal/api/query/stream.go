package query

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/internal/api/render"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/live"
	"github.com/penstock/penstock/internal/reportjson"
)

func (h *Handler) streamRoute() web.Route {
	return web.Route{
		Method: http.MethodGet, Path: "/v1/stream", Access: web.Viewer, Serve: h.stream,
		Summary: "Settled reports as they come",
		Details: "Server-sent events: report holds a report with the samples asked for; missed says how many reports of all controllers went by unseen " +
			"(null when nobody can know). A comment comes when nothing else does. Send the last id back in Last-Event-ID to go on after it.",
		Params: []web.Param{
			ControllerParam(), pointParam(), timeParam(),
			{In: "header", Name: "Last-Event-ID", Doc: "The id of the last event that was seen."},
		},
		Answer: []web.Media{{Name: "text/event-stream"}},
	}
}

// stream answers GET /v1/stream. It ends with the request, with the server, and
// when the credential is revoked.
func (h *Handler) stream(c *web.Call) error {
	sel, err := parseSelector(c)
	if err != nil {
		return err
	}
	e := &eventWriter{c: c, filter: live.Filter{Controller: sel.Controller, Point: sel.Point, Scope: sel.Scope}}
	if e.time, err = parseTimeFormat(c.Value("time")); err != nil {
		return err
	}
	sub := h.feed.Subscribe(e.filter)
	if last := c.R.Header.Get("Last-Event-Id"); last != "" {
		id, err := live.ParseID(last)
		if err != nil {
			return err
		}
		sub = h.feed.SubscribeAfter(e.filter, id)
	}
	defer sub.Close()
	leave, err := enter(h.streams, "event streams")
	if err != nil {
		return err
	}
	defer leave()
	return h.events(e, sub)
}

// events writes events until the stream ends. A reader that is gone or too slow
// comes again with its last id.
func (h *Handler) events(e *eventWriter, sub *live.Subscription) error {
	ctx, stop := e.c.UntilDrain()
	defer stop()
	e.buf = e.c.NewBody()
	defer e.buf.Free()
	e.c.Header().Set("Content-Type", "text/event-stream")
	e.buf.Bytes = append(e.buf.Bytes, "retry: 2000\n\n"...)
	checked := e.c.Now()
	for e.c.SendNow(e.buf) == nil {
		events, missed, err := h.next(ctx, sub)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if now := e.c.Now(); now.Sub(checked) >= h.limits.Heartbeat {
			if !e.c.StillKnown() {
				return nil
			}
			checked = now
		}
		e.append(events, missed)
	}
	return nil
}

// next waits for events no longer than a heartbeat.
func (h *Handler) next(ctx context.Context, sub *live.Subscription) ([]live.Event, int, error) {
	ctx, cancel := context.WithTimeout(ctx, h.limits.Heartbeat)
	defer cancel()
	return sub.Next(ctx)
}

// eventWriter writes server-sent events.
type eventWriter struct {
	c      *web.Call
	filter live.Filter
	time   reportjson.TimeFormat
	buf    *web.Body
}

// append appends events, or a comment when there are none.
func (e *eventWriter) append(events []live.Event, missed int) {
	b := e.buf.Bytes
	switch {
	case missed == live.MissedUnknown:
		b = append(b, "event: missed\ndata: {\"missed\":null}\n\n"...)
	case missed > 0:
		b = append(b, "event: missed\ndata: {\"missed\":"...)
		b = strconv.AppendInt(b, int64(missed), 10)
		b = append(b, "}\n\n"...)
	case len(events) == 0:
		b = append(b, ": heartbeat\n\n"...)
	}
	for _, event := range events {
		b = append(b, "id: "...)
		b = append(b, event.ID.String()...)
		b = append(b, "\nevent: report\ndata: "...)
		b = render.AppendReport(b, event.Report, e.time, e.filter.MatchesPoint)
		b = append(b, "\n\n"...)
	}
	e.buf.Bytes = b
}
