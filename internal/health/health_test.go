package health_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/internal/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock moves a second at each look.
func clock() func() time.Time {
	at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	return func() time.Time { at = at.Add(time.Second); return at }
}

func TestReadyOnlyWhenAnAcknowledgementIsPossible(t *testing.T) {
	var heard []string
	h := health.New(health.Options{Now: clock(), Changed: func(c string, s health.State, why string) {
		heard = append(heard, c+" "+string(s)+" "+why)
	}})
	if h.Ready() {
		t.Error("ready without a component")
	}
	spool, historian := h.Needed("spool"), h.Watched("historian")
	step := func(what string, ready bool, want health.State) {
		t.Helper()
		if r := h.Snapshot(); h.Ready() != ready || r.Status != want {
			t.Errorf("%s: ready %v, %s", what, h.Ready(), r.Status)
		}
	}
	step("at first", false, health.Starting)
	spool.OK()
	step("spool OK", true, health.OK)
	historian.Failing("the disk is full")
	step("historian failing", true, health.OK)
	spool.Failing("fsync failed")
	spool.Failing("fsync failed")
	spool.Failing("fsync failed twice")
	step("spool failing", false, health.Failing)
	r := h.Snapshot()
	if r.Components[1].Why != "fsync failed twice" || !r.Components[1].Needed || r.Components[0].Needed {
		t.Errorf("%+v", r.Components)
	}
	since := r.Components[1].Since
	spool.Failing("again")
	if got := h.Snapshot().Components[1].Since; got != since {
		t.Errorf("another reason moved since from %v to %v", since, got)
	}
	spool.OK()
	step("mended", true, health.OK)
	h.Drain()
	h.Drain()
	spool.OK()
	step("draining", false, health.Draining)
	want := "spool ok |historian failing the disk is full|spool failing fsync failed|spool failing fsync failed twice|spool failing again|spool ok "
	if got := strings.Join(heard, "|"); got != want {
		t.Errorf("heard %s", got)
	}
}

// serve runs a server on loopback until the test ends.
func serve(t *testing.T, h *health.Health) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "penstock_up 1\n") })
	s := health.NewServer(h, ln, metrics, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestHTTP(t *testing.T) {
	h := health.New(health.Options{Now: clock()})
	spool := h.Needed("spool")
	addr, _ := serve(t, h)
	check := func(when string, want map[string]int) {
		t.Helper()
		for path, status := range want {
			got, body := get(t, "http://"+addr+path)
			if got != status {
				t.Errorf("%s: %s answers %d: %s", when, path, got, body)
			}
		}
	}
	check("starting", map[string]int{"/livez": 200, "/readyz": 503, "/startupz": 503, "/metrics": 200, "/": 404})
	spool.OK()
	check("ok", map[string]int{"/livez": 200, "/readyz": 200, "/startupz": 200})
	spool.Failing("no room on the disk")
	check("failing", map[string]int{"/livez": 200, "/readyz": 503, "/startupz": 200})
	_, body := get(t, "http://"+addr+"/readyz")
	var r health.Snapshot
	if err := json.Unmarshal([]byte(body), &r); err != nil || r.Components[0].Why != "no room on the disk" {
		t.Errorf("%v: %s", err, body)
	}
	h.Drain()
	check("draining", map[string]int{"/livez": 200, "/readyz": 503})
}

func TestGRPC(t *testing.T) {
	h := health.New(health.Options{Now: clock()})
	spool := h.Needed("spool")
	addr, stop := serve(t, h)
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := healthpb.NewHealthClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	check := func(service string) healthpb.HealthCheckResponse_ServingStatus {
		t.Helper()
		res, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return res.Status
	}
	if check("") != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Error("serving before it started")
	}
	_, err = client.Check(ctx, &healthpb.HealthCheckRequest{Service: "nobody"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: %v", err)
	}
	watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if res, err := watch.Recv(); err != nil || res.Status != want {
			t.Fatalf("got %v, %v; want %v", res, err, want)
		}
	}
	next(healthpb.HealthCheckResponse_NOT_SERVING)
	spool.OK()
	next(healthpb.HealthCheckResponse_SERVING)
	if check("spool") != healthpb.HealthCheckResponse_SERVING {
		t.Error("the component is not a service")
	}
	h.Drain()
	next(healthpb.HealthCheckResponse_NOT_SERVING)
	stop() // ends although somebody watches
	if _, err := watch.Recv(); err == nil {
		t.Error("the watch goes on after the end")
	}
}
