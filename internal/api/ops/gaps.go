package ops

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// Gaps tells which sequence numbers are missing.
type Gaps interface {
	// Gaps returns at most so many gaps of the controllers for which shown is true.
	Gaps(limit int, shown func(controller string) bool) GapsInfo
	// DeclareLost fills gaps for good; all says that no others were left out.
	DeclareLost(ctx context.Context, gaps []Gap, all bool) error
}

// GapsInfo is what is missing.
type GapsInfo struct {
	Gaps     []Gap         `json:"gaps"`
	More     bool          `json:"more,omitempty" doc:"There are more than are told."`
	Restored *RestoredInfo `json:"restored,omitempty" doc:"The node runs on a restored copy, and nobody has said yet that what is missing since is lost."`
	Declared bool          `json:"declared,omitempty" doc:"These were declared lost now."`
}

// Gap is a range of sequence numbers that have not come, before newer ones that have.
type Gap struct {
	Controller string `json:"controller"`
	Epoch      uint64 `json:"epoch"`
	First      uint64 `json:"first"`
	Last       uint64 `json:"last"`
}

// RestoredInfo is of which backup a restored node is.
type RestoredInfo struct {
	Backup   time.Time `json:"backup"`
	Position uint64    `json:"position"`
	Restored time.Time `json:"restored"`
}

// DeclaredLost says whose gaps are lost.
type DeclaredLost struct {
	Controller string `json:"controller" doc:"Name or pattern; * for all, which also ends the warning of a restored node."`
}

// maxGaps is how many gaps are told, and declared lost, at once.
const maxGaps = 10_000

func (p *Parts) gapRoutes() []web.Route {
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/gaps", Access: web.Viewer, Serve: p.gaps,
		Summary: "Sequence numbers that are missing",
		Params:  []web.Param{{In: "query", Name: "controller", Doc: "Name or pattern.", Example: "pump-*"}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[GapsInfo]()}},
	}, {
		Method: http.MethodPost, Path: "/v1/gaps/lost", Access: web.Admin, Serve: p.declareLost,
		Summary: "Declare missing sequence numbers lost",
		Details: "The watermark no longer waits for them, and what comes of them after all is refused. There is no way back.",
		Body:    []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[DeclaredLost]()}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[GapsInfo]()}},
	}}
}

// gaps answers GET /v1/gaps.
func (p *Parts) gaps(c *web.Call) error {
	pattern := c.Value("controller")
	return c.JSON(http.StatusOK, p.Gaps.Gaps(maxGaps, func(name string) bool { return c.Sees(pattern, name) }))
}

// declareLost answers POST /v1/gaps/lost.
func (p *Parts) declareLost(c *web.Call) error {
	var wish DeclaredLost
	if err := c.ReadJSON(&wish); err != nil {
		return err
	}
	if wish.Controller == "" {
		return penstock.Errorf(penstock.Invalid, "Say whose gaps are lost: a name, a pattern, or * for all.")
	}
	info := p.Gaps.Gaps(maxGaps, func(name string) bool { return c.Sees(wish.Controller, name) })
	if err := p.Gaps.DeclareLost(c.R.Context(), info.Gaps, wish.Controller == "*" && c.Sees("*", "*") && !info.More); err != nil {
		return err
	}
	c.Log().Warn("gaps were declared lost", "of", wish.Controller, "gaps", len(info.Gaps), "credential", c.Who.Credential)
	info.Declared = true
	return c.JSON(http.StatusOK, info)
}
