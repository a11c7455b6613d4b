// Package collector is a collector of traces for tests: it takes OTLP over HTTP and
// keeps the spans.
package collector

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector keeps the spans that it is sent. It is safe for concurrent use.
type Collector struct {
	URL string

	mu     sync.Mutex
	refuse bool
	spans  []Span
	tokens map[string]int
}

// Span is one span.
type Span struct {
	Trace, ID, Parent string // in hex; Parent empty for none
	Name              string
	Began, Ended      time.Time
	Failed            string // the message of an error, empty for none
	Attributes        map[string]string
	Events            int
}

// Start starts a collector that ends with the test.
func Start(t testing.TB) *Collector {
	c := &Collector{tokens: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var all tracecollector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &all)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[r.Header.Get("Authorization")]++
	if c.refuse {
		http.Error(w, "not today", http.StatusForbidden)
		return
	}
	for _, resource := range all.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				span := Span{
					Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId), Name: s.Name,
					Began: time.Unix(0, int64(s.StartTimeUnixNano)), Ended: time.Unix(0, int64(s.EndTimeUnixNano)), Failed: s.Status.GetMessage(),
					Attributes: map[string]string{}, Events: len(s.Events),
				}
				for _, a := range s.Attributes {
					span.Attributes[a.Key] = a.Value.GetStringValue()
				}
				c.spans = append(c.spans, span)
			}
		}
	}
}

// Refuse makes the collector refuse what comes, or take it again.
func (c *Collector) Refuse(refuse bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = refuse
}

// Trace returns the spans of a trace by their names; of all traces for "".
func (c *Collector) Trace(id string) map[string]Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]Span{}
	for _, s := range c.spans {
		if id == "" || s.Trace == id {
			found[s.Name] = s
		}
	}
	return found
}

// Count returns how many spans of a name came.
func (c *Collector) Count(name string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			n++
		}
	}
	return n
}

// Authorized returns how many requests showed the header's value.
func (c *Collector) Authorized(header string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[header]
}
