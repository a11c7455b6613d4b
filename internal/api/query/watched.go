package query

import (
	"cmp"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/render"
	"github.com/penstock/penstock/internal/api/web"
)

// Totals are the books in sum.
type Totals struct {
	Total    BookLine                   `json:"total"`
	Nameless map[penstock.Reason]uint64 `json:"nameless,omitempty"`
}

// Total returns the books of all controllers that the caller sees, in sum.
func (h *Handler) Total(c *web.Call) Totals {
	total := Account{Rejected: map[penstock.Reason]uint64{}}
	accounts := h.ledger.Books()
	for i := range accounts {
		if c.Sees("", accounts[i].Controller) {
			total.add(&accounts[i])
		}
	}
	answer := Totals{Total: total.line()}
	if c.Who.Scope.Covers("*") {
		answer.Nameless = h.ledger.Nameless()
	}
	return answer
}

// NewestSample is the newest sample of a point.
type NewestSample struct {
	Point  string  `json:"point"`
	Unit   string  `json:"unit,omitempty"`
	Kind   string  `json:"kind"`            // of the value
	Value  string  `json:"value,omitempty"` // in all its digits, which a number of JSON may lose
	Time   float64 `json:"time"`            // seconds since 1970
	Status uint32  `json:"status"`
}

// Newest returns the newest sample of each point of a controller, in the order of
// their names. It does not wait for what is still on its way to the record.
func (h *Handler) Newest(c *web.Call, controller string) ([]NewestSample, error) {
	answer := []NewestSample{}
	if !c.Who.Scope.Covers(controller) {
		return answer, nil
	}
	for _, s := range h.historian.Series(Selector{Controller: controller, Scope: c.Who.Scope}) {
		if s.Controller != controller {
			continue
		}
		newest, ok, err := h.historian.Latest(c.R.Context(), s.ID)
		if err != nil {
			return nil, ours(err)
		}
		if ok {
			answer = append(answer, NewestSample{
				s.Point, s.Unit, newest.Value.Kind().String(), string(render.AppendPlain(nil, newest.Value)), secondsOf(newest.SourceTime), uint32(newest.Status),
			})
		}
	}
	slices.SortFunc(answer, func(a, b NewestSample) int { return cmp.Compare(a.Point, b.Point) })
	return answer, nil
}
