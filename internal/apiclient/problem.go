package apiclient

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock"
)

// Problem is an error that the gateway answered (RFC 9457).
type Problem struct {
	Status     int           `json:"status"` // of HTTP
	Title      string        `json:"title"`  // the kind in a few words
	Name       string        `json:"code"`   // the kind for programs
	Detail     string        `json:"detail"` // what happened to this request
	Do         string        `json:"do"`     // what to do about it
	Rows       []SheetRow    `json:"rows"`   // of a sheet that was refused
	RetryAfter time.Duration `json:"-"`      // 0 when the gateway did not say
}

// SheetRow is what is wrong with a row of a sheet.
type SheetRow struct {
	Line   int    `json:"line"`
	Column string `json:"column"` // empty when it is of no one column
	Detail string `json:"detail"`
}

// maxProblem is how much of an error's body is read.
const maxProblem = 256 << 10

// problemOf reads the problem out of an answer, which may come from a proxy that
// knows nothing of problems.
func problemOf(res *http.Response) *Problem {
	p := &Problem{}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err != nil || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(body, p) != nil {
		*p = Problem{Detail: "the answer is not from a gateway; something between may have given it"}
	}
	p.Status = res.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(res.StatusCode)
	}
	if seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 31); err == nil {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}

// Error returns what happened and what to do.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%s (HTTP %d)", p.Title, p.Status)
	for _, more := range []string{p.Detail, p.Do} {
		if more = strings.TrimRight(more, ". "); more != "" {
			text += ". " + strings.ToUpper(more[:1]) + more[1:]
		}
	}
	return text
}

// Unwrap returns an error of the problem's code.
func (p *Problem) Unwrap() error {
	return &penstock.Error{Code: p.code(), Text: p.Detail, RetryAfter: p.RetryAfter}
}

func (p *Problem) code() penstock.Code {
	for c := penstock.Internal; c <= penstock.Closed; c++ {
		if c.String() == p.Name {
			return c
		}
	}
	switch p.Status {
	case http.StatusTooManyRequests:
		return penstock.Limited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return penstock.Unavailable
	case http.StatusUnauthorized:
		return penstock.Unauthenticated
	case http.StatusForbidden:
		return penstock.Forbidden
	case http.StatusNotFound:
		return penstock.NotFound
	}
	if p.Status < http.StatusInternalServerError {
		return penstock.Invalid
	}
	return penstock.Internal
}
