package ingest

import (
	"fmt"
	"net/http"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// LineFormat returns the name under which the pipeline knows the line protocol
// with times of that precision: ns, us, ms or s.
func LineFormat(precision string) string { return "line-protocol/" + precision }

// precisions are the names that clients of both versions of InfluxDB's API give
// to the units of times.
var precisions = map[string]string{"": "ns", "ns": "ns", "n": "ns", "us": "us", "u": "us", "µ": "us", "ms": "ms", "s": "s"}

// writeRoutes are the routes by which agents write to InfluxDB.
func (h *Handler) writeRoutes() []web.Route {
	var routes []web.Route
	for _, path := range []string{"/api/v2/write", "/write"} {
		routes = append(routes, web.Route{
			Method: http.MethodPost, Path: path, Access: web.Controller, Serve: h.write, Refuses: true,
			Summary: "Send samples in the line protocol of InfluxDB",
			Details: "The configuration says which tags name the controller. Answers 204 when every line is durable, and 400 when some were refused: the others are durable then, and the message says which were not and why. " +
				"The token comes as Authorization: Token, Bearer, or as the password of Basic.",
			Params: []web.Param{
				{In: "query", Name: "precision", Doc: "Unit of the times: ns (when absent), us, ms or s.", Example: "ms"},
				{In: "query", Name: "bucket", Doc: "Not used."}, {In: "query", Name: "org", Doc: "Not used."}, {In: "query", Name: "orgID", Doc: "Not used."},
				{In: "query", Name: "db", Doc: "Not used."}, {In: "query", Name: "rp", Doc: "Not used."}, {In: "query", Name: "consistency", Doc: "Not used."},
				{In: "header", Name: "Content-Encoding", Doc: "gzip or identity.", Example: "gzip"},
			},
			Body:   []web.Media{{Name: "text/plain"}},
			Status: []int{http.StatusNoContent},
		})
	}
	return append(routes, web.Route{
		Method: http.MethodGet, Path: "/ping", Access: web.Open, Serve: ping,
		Summary: "For agents that look for InfluxDB before they write",
		Status:  []int{http.StatusNoContent},
	})
}

func ping(c *web.Call) error {
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// write answers POST /api/v2/write and POST /write.
func (h *Handler) write(c *web.Call) error {
	if c.Denied != nil {
		return h.refuse(c)
	}
	precision, ok := precisions[c.Value("precision")]
	if !ok {
		return penstock.Errorf(penstock.Invalid, "The precision %.20q is not known: it is ns, us, ms or s.", c.Value("precision"))
	}
	head := header{media: LineFormat(precision)}
	var err error
	if head.gzip, err = parseEncoding(c.R.Header["Content-Encoding"]); err != nil {
		return err
	}
	verdicts, err := h.whole(c, head)
	if err != nil {
		return err
	}
	return answerWrite(c, verdicts)
}

// partialWrite is the answer to a body of which some lines were refused, in the
// words that clients of both versions of the API look for.
type partialWrite struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Error   string `json:"error"`
}

func answerWrite(c *web.Call, verdicts []penstock.Verdict) error {
	refused, why := 0, ""
	for i := range verdicts {
		if v := &verdicts[i]; v.Result == penstock.Rejected {
			if refused++; refused == 1 {
				why = v.Detail
			}
		}
	}
	if refused == 0 {
		c.WriteHeader(http.StatusNoContent)
		return nil
	}
	text := fmt.Sprintf("partial write: %s dropped=%d", why, refused)
	return c.JSON(http.StatusBadRequest, partialWrite{Code: "invalid", Message: text, Error: text})
}
