package tracing

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/remote"
)

// exporter hands spans to the collector and tells our log when it does not take
// them: nobody else would.
type exporter struct {
	to   trace.SpanExporter
	log  *slog.Logger
	now  func() time.Time
	lost atomic.Uint64

	mu    sync.Mutex
	quiet time.Time // until then nothing is logged
}

const complainEvery = time.Minute

// newExporter returns what speaks to the collector. It reads the certificates for
// each connection anew, so that renewed ones count.
func newExporter(c *Config, server remote.Server) (trace.SpanExporter, error) {
	url := "http://" + server.Address + "/" + cmp.Or(server.Path, "v1/traces")
	if server.Secure {
		url = "https" + strings.TrimPrefix(url, "http")
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return server.Dial(ctx, c.TLS) }
	client := &http.Client{Timeout: exportWait, Transport: &http.Transport{DialContext: dial, DialTLSContext: dial, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}}
	headers := map[string]string{}
	if c.Token.Set() {
		headers["Authorization"] = "Bearer " + c.Token.Reveal()
	}
	to, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(url), otlptracehttp.WithHeaders(headers), otlptracehttp.WithHTTPClient(client))
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "trace: %w", err)
	}
	return to, nil
}

// ExportSpans implements trace.SpanExporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	err := e.to.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	lost := e.lost.Add(uint64(len(spans)))
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := e.now(); now.After(e.quiet) {
		e.quiet = now.Add(complainEvery)
		e.log.Warn("the collector of traces did not take what it was sent; nothing else is affected", "lost_spans", lost, "error", err)
	}
	return nil
}

// Shutdown implements trace.SpanExporter.
func (e *exporter) Shutdown(ctx context.Context) error { return e.to.Shutdown(ctx) }

// allowance is how many may be followed in each second.
type allowance struct {
	most int

	mu     sync.Mutex
	second int64
	taken  int
}

func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := now.Unix(); s != a.second {
		a.second, a.taken = s, 0
	}
	if a.taken >= a.most {
		return false
	}
	a.taken++
	return true
}
