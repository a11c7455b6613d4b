package query

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

func (h *Handler) ledgerRoute() web.Route {
	return web.Route{
		Method: http.MethodGet, Path: "/v1/ledger", Access: web.Viewer, Serve: h.books,
		Summary: "The books",
		Details: "For each controller, and in total: received is the sum of accepted, duplicate and rejected; accepted is the sum of what became of it. " +
			"Input that was refused before it named a controller stands in nameless, which only a scope of * sees.",
		Params: []web.Param{ControllerParam()},
		Answer: []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Books]()}},
	}
}

// Books are the accounts of the controllers that a caller may see.
type Books struct {
	Controllers []BookLine                 `json:"controllers"`
	Total       BookLine                   `json:"total"`
	Nameless    map[penstock.Reason]uint64 `json:"nameless,omitempty" doc:"Envelopes refused before they named a controller, by reason."`
}

// BookLine is one account, in reports.
type BookLine struct {
	Controller        string                     `json:"controller,omitempty"`
	Received          uint64                     `json:"received"`
	Accepted          uint64                     `json:"accepted"`
	Duplicate         uint64                     `json:"duplicate"`
	Rejected          map[penstock.Reason]uint64 `json:"rejected" doc:"By reason."`
	Committed         uint64                     `json:"committed" doc:"Settled in the record."`
	DuplicateAtRecord uint64                     `json:"duplicate_at_record" doc:"The record had it already."`
	InSpool           uint64                     `json:"in_spool" doc:"Durable here, on the way to the record."`
	Quarantined       uint64                     `json:"quarantined" doc:"Refused by the record, waiting for a person."`
	Filtered          uint64                     `json:"filtered" doc:"Dropped on purpose by a step."`
	Discarded         uint64                     `json:"discarded" doc:"Given up by a person."`
	Damaged           uint64                     `json:"damaged" doc:"Could not be read any more, and were asked for again."`
	Balanced          bool                       `json:"balanced" doc:"Both sums hold."`
}

// books answers GET /v1/ledger, one account at a time: a fleet is large.
func (h *Handler) books(c *web.Call) error {
	pattern := c.Value("controller")
	accounts := h.ledger.Books()
	slices.SortFunc(accounts, func(a, b Account) int { return cmp.Compare(a.Controller, b.Controller) })
	total := Account{Rejected: map[penstock.Reason]uint64{}}
	b := c.NewBody()
	defer b.Free()
	c.SetJSON()
	b.Bytes = append(b.Bytes, `{"controllers":[`...)
	first := true
	for i := range accounts {
		a := &accounts[i]
		if !c.Sees(pattern, a.Controller) {
			continue
		}
		if !first {
			b.Bytes = append(b.Bytes, ",\n"...)
		}
		first = false
		total.add(a)
		line, err := json.Marshal(a.line())
		if err != nil {
			return err
		}
		b.Bytes = append(b.Bytes, line...)
		if len(b.Bytes) >= flushAt {
			if err := c.Send(b); err != nil {
				return err
			}
		}
	}
	tail := struct {
		Total    BookLine                   `json:"total"`
		Nameless map[penstock.Reason]uint64 `json:"nameless,omitempty"`
	}{Total: total.line()}
	if c.Who.Scope.Covers("*") && pattern == "" {
		tail.Nameless = h.ledger.Nameless()
	}
	end, err := json.Marshal(tail)
	if err != nil {
		return err
	}
	b.Bytes = append(append(append(b.Bytes, "],"...), end[1:]...), '\n')
	return c.Send(b)
}

func (a *Account) add(b *Account) {
	a.Received += b.Received
	a.Accepted += b.Accepted
	a.Duplicate += b.Duplicate
	for reason, n := range b.Rejected {
		a.Rejected[reason] += n
	}
	a.Committed += b.Committed
	a.DuplicateAtRecord += b.DuplicateAtRecord
	a.InSpool += b.InSpool
	a.Quarantined += b.Quarantined
	a.Filtered += b.Filtered
	a.Discarded += b.Discarded
	a.Damaged += b.Damaged
}

func (a *Account) line() BookLine {
	rejected := uint64(0)
	for _, n := range a.Rejected {
		rejected += n
	}
	reasons := a.Rejected
	if reasons == nil {
		reasons = map[penstock.Reason]uint64{}
	}
	settled := a.Committed + a.DuplicateAtRecord + a.InSpool + a.Quarantined + a.Filtered + a.Discarded + a.Damaged
	return BookLine{
		Controller: a.Controller, Received: a.Received, Accepted: a.Accepted, Duplicate: a.Duplicate, Rejected: reasons,
		Committed: a.Committed, DuplicateAtRecord: a.DuplicateAtRecord, InSpool: a.InSpool, Quarantined: a.Quarantined,
		Filtered: a.Filtered, Discarded: a.Discarded, Damaged: a.Damaged,
		Balanced: a.Received == a.Accepted+a.Duplicate+rejected && a.Accepted == settled,
	}
}
