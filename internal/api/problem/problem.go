// Package problem is how the HTTP API tells errors: problem details (RFC 9457)
// with a stable type, a code for programs, and a sentence that says what to do.
// A problem never shows the gateway's internals.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock"
)

// MediaType of a problem.
const MediaType = "application/problem+json"

// Prefix is the path under which the API explains the kinds; a problem's type is
// the prefix and the slug.
const Prefix = "/problems/"

// Kind is one kind of problem. Slugs and codes never change their meaning.
type Kind struct {
	Slug   string // last part of the type URI
	Status int    // HTTP status
	Title  string
	Code   string // for programs
	Do     string // what the sender can do about it
}

// Type returns the type URI, relative to the API.
func (k *Kind) Type() string { return Prefix + k.Slug }

// Details are the body of a problem.
type Details struct {
	Type    string          `json:"type" doc:"The kind of problem; the URI is served and explains it." format:"uri-reference"`
	Title   string          `json:"title" doc:"The kind in a few words."`
	Status  int             `json:"status" doc:"The HTTP status."`
	Code    string          `json:"code" doc:"The kind for programs."`
	Detail  string          `json:"detail" doc:"What happened to this request."`
	Do      string          `json:"do" doc:"What to do about it."`
	Results json.RawMessage `json:"results,omitempty" doc:"The results of the reports, where some were judged."`
	Rows    []Row           `json:"rows,omitempty" doc:"What is wrong with the rows of a sheet: the first of it, where there is much."`
}

// Row is what is wrong with a row of a sheet.
type Row struct {
	Line   int    `json:"line" doc:"In the file, from 1."`
	Column string `json:"column,omitempty"`
	Detail string `json:"detail"`
}

// Error is an error that is answered as a problem of a kind.
type Error struct {
	Kind       *Kind
	Detail     string
	RetryAfter time.Duration   // sent as Retry-After when positive
	Results    json.RawMessage // extension member "results"
	Rows       []Row           // extension member "rows"
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// New returns an error of a kind with a detail that the sender may read.
func New(k *Kind, detail string) *Error { return &Error{Kind: k, Detail: detail} }

// From returns the problem that err is answered as. An error without a code is
// an internal one, whose text stays in the gateway's log.
func From(err error) *Error {
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	code := penstock.CodeOf(err)
	k := kindOf(code)
	p = &Error{Kind: k, Detail: err.Error(), RetryAfter: penstock.RetryAfterOf(err)}
	if code == penstock.Internal {
		p.Detail = "The gateway failed at this request. Its log says more."
	}
	if code.Temporary() && p.RetryAfter <= 0 {
		p.RetryAfter = time.Second
	}
	return p
}

// Details returns the body that the error is answered with.
func (e *Error) Details() Details {
	return Details{Type: e.Kind.Type(), Title: e.Kind.Title, Status: e.Kind.Status, Code: e.Kind.Code, Detail: e.Detail, Do: e.Kind.Do, Results: e.Results, Rows: e.Rows}
}

// JSON returns the body that the error is answered with.
func (e *Error) JSON() []byte {
	d := e.Details()
	b, err := json.Marshal(d)
	if err != nil { // results that are not JSON: the rest is as true without them
		d.Results = nil
		b, _ = json.Marshal(d)
	}
	return b
}

// SetRetryAfter sets the header Retry-After, in whole seconds and never too few,
// when the error says when to try again.
func (e *Error) SetRetryAfter(h http.Header) {
	if e.RetryAfter > 0 {
		seconds := int64((e.RetryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
}

// Write answers a request with the problem that err is.
func Write(w http.ResponseWriter, err error) {
	p := From(err)
	h := w.Header()
	h.Set("Content-Type", MediaType)
	p.SetRetryAfter(h)
	if p.Kind.Status == http.StatusUnauthorized {
		h.Set("Www-Authenticate", `Bearer realm="penstock"`)
	}
	body := p.JSON()
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.Kind.Status)
	// A sender that is gone cannot be told.
	_, _ = w.Write(append(body, '\n'))
}
