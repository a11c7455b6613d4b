package web

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/problem"
)

// Access is the rule of a route: the least role that may call it. The zero
// Access is no rule at all, and a route without a rule is refused by [New].
type Access string

// The rules.
const (
	undeclared Access = ""
	Open       Access = "open" // without a credential
	Controller Access = Access(penstock.RoleController)
	Viewer     Access = Access(penstock.RoleViewer)
	Operator   Access = Access(penstock.RoleOperator)
	Admin      Access = Access(penstock.RoleAdmin)
)

// rank orders the roles: each has the rights of those before it.
var rank = map[Access]int{Controller: 1, Viewer: 2, Operator: 3, Admin: 4}

// Allows tells whether the rule lets a role pass.
func (a Access) Allows(r penstock.Role) bool {
	return a == Open || rank[a] > 0 && rank[Access(r)] >= rank[a]
}

// IsRole tells whether there is a role of this name.
func IsRole(name string) bool { return rank[Access(name)] > 0 }

// Route is one line of the table of routes.
type Route struct {
	Method string
	Path   string // pattern of net/http, without the method
	Access Access
	// Serve answers. An error that it returns before the first byte becomes a
	// problem, and later breaks the answer off.
	Serve func(*Call) error
	// Refuses has Serve called for senders that are not known, with
	// [Call.Denied], because it refuses and books them in its own way.
	Refuses bool
	Summary string
	Details string
	Params  []Param
	Body    []Media // what the request may hold
	Answer  []Media // what a good answer holds
	Status  []int   // of a good answer; none means 200
}

// Media is a body: its media type, and the type that its schema is made from.
type Media struct {
	Name string
	Of   reflect.Type // nil: not described further
}

// Param is a parameter of a route. A query parameter that is not declared is
// refused, and a handler can only read those that are.
type Param struct {
	In      string // query, path or header
	Name    string
	Doc     string
	Example string
}

func (r *Route) name() string { return r.Method + " " + r.Path }

func (r *Route) declares(in, name string) bool {
	for i := range r.Params {
		if r.Params[i].In == in && r.Params[i].Name == name {
			return true
		}
	}
	return false
}

func (r *Route) parameters(in string) string {
	var names []string
	for _, p := range r.Params {
		if p.In == in {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// newMux checks the table and makes the multiplexer of it. What no route takes is
// answered with the methods that the path has, and as not there when it has none.
func (s *Server) newMux(routes []Route) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	methods := []string{http.MethodHead} // which every GET answers
	for i := range routes {
		r := &routes[i]
		if r.Access == undeclared {
			return nil, penstock.Errorf(penstock.Internal, "the route %s has no rule that says who may call it", r.name())
		}
		if r.Access != Open && rank[r.Access] == 0 {
			return nil, penstock.Errorf(penstock.Internal, "the route %s has the rule %q, which is not a role", r.name(), r.Access)
		}
		mux.Handle(r.name(), s.handle(r))
		methods = append(methods, r.Method)
	}
	slices.Sort(methods)
	methods = slices.Compact(methods)
	mux.Handle("/", s.handle(&Route{Path: "other", Access: Open, Serve: func(c *Call) error {
		if allowed := allowedAt(mux, methods, c.R); len(allowed) > 0 {
			return c.notAllowed(strings.Join(allowed, ", "))
		}
		return problem.New(problem.NotFound, "There is nothing at this path.")
	}}))
	return mux, nil
}

// allowedAt returns those of the methods with which a route takes the request. The
// multiplexer itself is asked: one path may belong to several patterns.
func allowedAt(mux *http.ServeMux, methods []string, r *http.Request) (allowed []string) {
	for _, method := range methods {
		probe := *r
		probe.Method = method
		if _, pattern := mux.Handler(&probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

func (c *Call) notAllowed(allowed string) error {
	c.Header().Set("Allow", allowed)
	return problem.New(problem.Method, "This path takes "+allowed+".")
}
