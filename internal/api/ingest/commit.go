package ingest

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// Record tells what the system of record has settled.
type Record interface {
	// Settling begins to look after reports, before they are submitted. What it
	// returns waits until the record has settled every report of the verdicts that was
	// accepted or is a duplicate; an error says that it is not known.
	Settling() func(ctx context.Context, vs []penstock.Verdict) error
}

// committed is the value of the parameter wait.
const committed = "committed"

// commitment is what a request wants to know of the record. The zero commitment wants
// nothing.
type commitment struct {
	wanted   bool
	patience time.Duration
	settled  func(ctx context.Context, vs []penstock.Verdict) error // nil where too many wait already
}

// parseWait reads whether a request waits for the record, and how long.
func (h *Handler) parseWait(c *web.Call, head header) (commitment, error) {
	switch value := c.Value("wait"); {
	case value == "":
		return commitment{}, nil
	case value != committed:
		return commitment{}, penstock.Errorf(penstock.Invalid, "wait=%.40q: the one thing to wait for is committed.", value)
	case head.media == mediaNDJSON:
		return commitment{}, penstock.Errorf(penstock.Invalid, "wait=committed goes with a body that is one document: NDJSON may be of any length, and is judged part by part.")
	}
	w := commitment{wanted: true, patience: h.limits.Commit}
	if asked, ok := preferredWait(c.R.Header.Values("Prefer")); ok && asked < w.patience {
		w.patience = asked
	}
	c.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(w.patience.Seconds())))
	return w, nil
}

// preferredWait returns the preference wait of RFC 7240, which is in seconds. What
// cannot be read is no preference, as the standard has it.
func preferredWait(values []string) (time.Duration, bool) {
	for _, value := range values {
		for preference := range strings.SplitSeq(value, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, text, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(text), `"`), 10, 31)
			return time.Duration(seconds) * time.Second, err == nil
		}
	}
	return 0, false
}

// begin looks after the reports of a request, before they are submitted. The returned
// function must be called when the request has its answer.
func (h *Handler) begin(w *commitment) (end func()) {
	if !w.wanted {
		return func() {}
	}
	if h.waiting.Add(1) <= int64(h.limits.Waiting) {
		w.settled = h.record.Settling()
	}
	return func() { h.waiting.Add(-1) }
}

// isCommitted waits until the record has settled the reports of the verdicts, and
// tells whether it has. It does not wait when the gateway is about to end.
func (w *commitment) isCommitted(c *web.Call, vs []penstock.Verdict) bool {
	if w.settled == nil {
		return false
	}
	ctx, stop := c.UntilDrain()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	err := w.settled(ctx, vs)
	c.Extend()
	return err == nil
}

// status returns the status of an answer to a request that waited for the record.
func (w *commitment) status(committed bool) int {
	if w.wanted && !committed {
		return http.StatusAccepted
	}
	return http.StatusOK
}
