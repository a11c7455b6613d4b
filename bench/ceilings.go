package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/sim"
)

// flushes is how often the disk makes a write durable.
type flushes struct {
	size      int // bytes
	perSecond float64
	p50, p99  time.Duration
}

// measureFlushes overwrites a file of zeros from its start and waits for each
// write, for as long as the caller gives for each size.
func measureFlushes(directory string, length time.Duration) ([]flushes, error) {
	const fileSize = 32 << 20
	file, err := os.Create(filepath.Join(directory, "flushes"))
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name()) // the directory goes too
	defer file.Close()           // nothing in it is kept
	if _, err := file.Write(make([]byte, fileSize)); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	var all []flushes
	for _, size := range []int{512, 4 << 10, 16 << 10, 64 << 10} {
		var latency sim.Latency
		block := make([]byte, size)
		started, count := time.Now(), 0
		for time.Since(started) < length {
			block[0]++
			before := time.Now()
			if _, err := file.WriteAt(block, int64(count*size%(fileSize-size))); err != nil {
				return nil, err
			}
			if err := syscall.Fdatasync(int(file.Fd())); err != nil {
				return nil, err
			}
			latency.Add(time.Since(before))
			count++
		}
		spread := latency.Spread()
		all = append(all, flushes{size, float64(count) / time.Since(started).Seconds(), spread.Quantile(0.5), spread.Quantile(0.99)})
	}
	return all, nil
}

// bareCommand is the argument with which this program is its own bare server.
const bareCommand = "bare"

// startBare runs net/http over TLS with nothing behind it: the body is read to
// its end and the answer is always the same.
func startBare(ctx context.Context, directory string) (*process.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return process.Start(ctx, func() (sim.Endpoint, error) {
		address, err := os.ReadFile(filepath.Join(directory, "address"))
		if err != nil {
			return sim.Endpoint{}, err
		}
		roots, err := process.ReadRoots(filepath.Join(directory, "cert.pem"))
		return sim.Endpoint{URL: string(address), Token: "none", Roots: roots}, err
	}, self, bareCommand, directory)
}

// serveBare is the bare server's process.
func serveBare(directory string) error {
	answer := []byte(`{"results":[{"controller":"bench-000-000","epoch":1,"seq":1,"result":"accepted","committed":{"epoch":1,"seq":0}}]}` + "\n")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer) // a client that has gone away needs none
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	server.StartTLS()
	defer server.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(directory, "cert.pem"), certificate, 0o600); err != nil {
		return err
	}
	name := filepath.Join(directory, "address")
	if err := os.WriteFile(name+".new", []byte(server.URL), 0o600); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	server.CloseClientConnections()
	return nil
}

var errNoGateway = errors.New("there is no gateway to measure")

// findGateway returns the gateway's program.
func findGateway(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: %w; build it first: make build", errNoGateway, err)
	}
	return filepath.Abs(path)
}
