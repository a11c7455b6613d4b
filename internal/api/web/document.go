package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
)

func documentRoutes() []Route {
	return []Route{{
		Method: http.MethodGet, Path: "/openapi.json", Access: Open, Serve: (*Call).openapi,
		Summary: "This document",
		Answer:  []Media{{JSONType, nil}},
	}, {
		Method: http.MethodGet, Path: problem.Prefix + "{kind}", Access: Open, Serve: (*Call).explain,
		Summary: "What a problem means and what to do about it",
		Params:  []Param{{In: "path", Name: "kind", Doc: "The last part of a problem's type."}},
		Answer:  []Media{{"text/plain", nil}},
	}}
}

func (c *Call) openapi() error {
	c.Header()["Content-Type"] = jsonHeader
	c.Header().Set("Content-Length", strconv.Itoa(len(c.s.document)))
	_, err := c.Write(c.s.document)
	return err
}

func (c *Call) explain() error {
	slug := c.R.PathValue("kind")
	for _, k := range problem.Kinds() {
		if k.Slug == slug {
			c.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, err := fmt.Fprintf(c, "%s\n\nstatus: %d\ncode:   %s\n\n%s\n", k.Title, k.Status, k.Code, k.Do)
			return err
		}
	}
	return penstock.Errorf(penstock.NotFound, "There is no kind of problem with the name %.60q.", slug)
}

// openAPI makes the OpenAPI document of the table of routes.
func openAPI(routes []Route, version string) ([]byte, error) {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "Penstock", Version: version, Description: "Reports of controllers in, queries out. " +
			"Every error is a problem (RFC 9457) whose type is served and says what to do."},
		Paths: map[string]*huma.PathItem{},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
			"token":       {Type: "http", Scheme: "bearer"},
			"certificate": {Type: "mutualTLS"},
		}},
	}
	failure := &huma.Response{
		Description: "A problem. Its type is one of: " + strings.Join(problemTypes(), ", ") + ".",
		Content:     content(registry, []Media{{problem.MediaType, reflect.TypeFor[problem.Details]()}}),
	}
	for i := range routes {
		r := &routes[i]
		op := operation(registry, r)
		op.Responses["default"] = failure
		doc.AddOperation(op)
	}
	return json.Marshal(doc)
}

func problemTypes() []string {
	var types []string
	for _, k := range problem.Kinds() {
		types = append(types, k.Type())
	}
	return types
}

func operation(registry huma.Registry, r *Route) *huma.Operation {
	op := &huma.Operation{
		OperationID: operationID(r), Method: r.Method, Path: r.Path, Summary: r.Summary, Description: r.Details,
		Responses: map[string]*huma.Response{},
	}
	if r.Access != Open {
		op.Security = []map[string][]string{{"token": {}}, {"certificate": {}}}
		op.Description = strings.TrimSpace(op.Description + " Needs the role " + string(r.Access) + ".")
	}
	for _, p := range r.Params {
		described := &huma.Param{
			Name: p.Name, In: p.In, Description: p.Doc, Required: p.In == "path",
			Schema: huma.SchemaFromType(registry, reflect.TypeFor[string]()),
		}
		if p.Example != "" {
			described.Example = p.Example
		}
		op.Parameters = append(op.Parameters, described)
	}
	if len(r.Body) > 0 {
		op.RequestBody = &huma.RequestBody{Required: true, Content: content(registry, r.Body)}
	}
	status := r.Status
	if len(status) == 0 {
		status = []int{http.StatusOK}
	}
	for _, code := range status {
		op.Responses[strconv.Itoa(code)] = &huma.Response{Description: http.StatusText(code), Content: content(registry, r.Answer)}
	}
	return op
}

// operationID makes "get-v1-query" of GET /v1/query.
func operationID(r *Route) string {
	words := strings.FieldsFunc(strings.ToLower(r.Method+r.Path), func(c rune) bool { return !('a' <= c && c <= 'z' || '0' <= c && c <= '9') })
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), "-")
}

func content(registry huma.Registry, all []Media) map[string]*huma.MediaType {
	c := map[string]*huma.MediaType{}
	for _, m := range all {
		c[m.Name] = &huma.MediaType{}
		if m.Of != nil {
			c[m.Name].Schema = huma.SchemaFromType(registry, m.Of)
		}
	}
	return c
}
