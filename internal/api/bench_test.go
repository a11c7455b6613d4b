package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
)

// acceptAll answers every envelope with the same verdicts at once.
type acceptAll struct{ out []penstock.Outcome }

func (a *acceptAll) Submit(context.Context, []penstock.Envelope) penstock.Ticket { return a }

func (a *acceptAll) Wait(context.Context) ([]penstock.Outcome, error) { return a.out, nil }

func accepting(n int) *acceptAll {
	var o penstock.Outcome
	for i := range n {
		o.Verdicts = append(o.Verdicts, penstock.Verdict{Controller: "pump-17", Identity: penstock.SequenceIdentity(1, uint64(i+1)), Result: penstock.Accepted, Committed: penstock.Mark{Epoch: 1, Seq: uint64(i)}})
	}
	return &acceptAll{[]penstock.Outcome{o}}
}

// drive sends b.N requests over 32 connections, one in flight each, with as
// little work of its own as can be.
func drive(b *testing.B, addr string, config *tls.Config, request []byte) {
	const connections = 32
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	conns := make([]*tls.Conn, connections)
	for i := range conns {
		c, err := tls.Dial("tcp", addr, config)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, c := range conns {
		wg.Go(func() {
			r := bufio.NewReader(c)
			for left.Add(-1) >= 0 {
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				if err := skipAnswer(r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

func skipAnswer(r *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("answered %s", line)
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return err
			}
		}
		if len(line) == 2 {
			_, err = r.Discard(length)
			return err
		}
	}
}

func request(body string) []byte {
	return fmt.Appendf(nil, "POST /v1/reports HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer controller\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func BenchmarkReports(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run("x"+strconv.Itoa(n), func(b *testing.B) {
			g := prepare(b, func(o *api.Options) { o.Now, o.Observer = nil, nil })
			g.run(accepting(n))
			body := "[" + strings.Repeat(report("pump-17", 1, 1, 12.5)+",", n-1) + report("pump-17", 1, 1, 12.5) + "]"
			drive(b, g.addr, &tls.Config{RootCAs: g.roots}, request(body))
		})
	}
}

// BenchmarkBare is the ceiling: net/http over TLS that reads a body and says yes.
func BenchmarkBare(b *testing.B) {
	g := prepare(b)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{TLSConfig: g.tls, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "yes")
	})}
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(ln, "", "") }()
	drive(b, ln.Addr().String(), &tls.Config{RootCAs: g.roots}, request(report("pump-17", 1, 1, 12.5)))
	srv.Close()
	<-done
}
