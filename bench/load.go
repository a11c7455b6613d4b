package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/bench/bodies"
	"github.com/penstock/penstock/bench/process"
	"github.com/penstock/penstock/internal/pause"
	"github.com/penstock/penstock/internal/sim"
)

// A load is a number of connections, each with one request under way.
type load struct {
	endpoint    sim.Endpoint
	open        func() (sender, error) // nil: HTTPS to the endpoint
	connections int
	warm        time.Duration
	length      time.Duration
	rate        float64                           // requests a second altogether; 0: as many as possible
	media       string                            // media type of the bodies
	body        func(connection int) bodies.Maker // one for each connection
}

// A figure is what one load came to.
type figure struct {
	requests int64
	length   time.Duration
	cpu      time.Duration // of the server, meanwhile
	whole    float64       // server CPU seconds a request, until nothing of it is left to do
	peak     int64         // of the server's resident memory, bytes
	p50, p99 time.Duration
}

func (f figure) perSecond() float64 { return float64(f.requests) / f.length.Seconds() }

// cpuPerMillion returns the server's CPU seconds for a million readings.
func (f figure) cpuPerMillion(readings int) float64 {
	return f.cpu.Seconds() / (float64(f.requests) * float64(readings)) * 1e6
}

// run loads a server and measures it, after a time to warm up. It begins and
// ends with a server that has nothing left to do.
func (l load) run(ctx context.Context, server *process.Process) (figure, error) {
	if err := server.Rest(ctx); err != nil {
		return figure{}, err
	}
	idle, err := server.CPU()
	if err != nil {
		return figure{}, err
	}
	var sent atomic.Int64
	f, err := l.measure(ctx, server, &sent)
	if err != nil {
		return figure{}, err
	}
	if err := server.Rest(ctx); err != nil {
		return figure{}, err
	}
	done, err := server.CPU()
	f.whole = (done - idle).Seconds() / float64(sent.Load())
	return f, err
}

// measure loads a server; sent counts the requests, those of the warm-up too.
func (l load) measure(ctx context.Context, server *process.Process, sent *atomic.Int64) (f figure, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	var latency sim.Latency
	for i := range l.connections {
		c, err := l.dial()
		if err != nil {
			return f, err
		}
		all.Go(func() {
			defer c.close()
			err := l.drive(ctx, c, l.body(i), func(d time.Duration) {
				sent.Add(1)
				latency.Add(d)
			})
			if err != nil {
				cancel(err)
			}
		})
	}
	if err := pause.For(ctx, l.warm); err != nil {
		return f, err
	}
	before, err := server.CPU()
	if err != nil {
		return f, err
	}
	requests, spread, started := sent.Load(), latency.Spread(), time.Now()
	if err := pause.For(ctx, l.length); err != nil {
		return f, err
	}
	f.requests, f.length = sent.Load()-requests, time.Since(started)
	spread = latency.Spread().Since(spread)
	f.p50, f.p99 = spread.Quantile(0.5), spread.Quantile(0.99)
	after, err := server.CPU()
	if err != nil {
		return f, err
	}
	f.cpu = after - before
	_, f.peak, err = server.Memory()
	return f, err
}

// drive sends one request after the other until ctx ends.
func (l load) drive(ctx context.Context, c sender, body bodies.Maker, done func(time.Duration)) error {
	var every time.Duration
	if l.rate > 0 {
		every = time.Duration(float64(l.connections) / l.rate * float64(time.Second))
	}
	var content []byte
	next := time.Now()
	for ctx.Err() == nil {
		if every > 0 {
			if pause.For(ctx, time.Until(next)) != nil {
				return nil
			}
			next = next.Add(every)
		}
		content = body(content[:0])
		started := time.Now()
		if err := c.send(content); err != nil {
			return err
		}
		done(time.Since(started))
	}
	return nil
}

// A sender has one request under way: send returns when it was answered well.
type sender interface {
	send(content []byte) error
	close()
}

// dial opens one of the load's connections.
func (l load) dial() (sender, error) {
	if l.open != nil {
		return l.open()
	}
	c, err := dial(l.endpoint)
	if err != nil {
		return nil, err
	}
	c.head = l.head()
	return c, nil
}

// head returns the part of the request's header that never changes.
func (l load) head() []byte {
	host := strings.TrimPrefix(l.endpoint.URL, "https://")
	return fmt.Appendf(nil, "POST /v1/reports HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n", host, l.endpoint.Token, l.media)
}

// A connection speaks just enough HTTP/1.1 to cost the generator little: it
// shares the processors with the server.
type connection struct {
	tls    *tls.Conn
	in     *bufio.Reader
	out    []byte
	head   []byte
	answer []byte
}

func dial(e sim.Endpoint) (*connection, error) {
	host := strings.TrimPrefix(e.URL, "https://")
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	t, err := tls.DialWithDialer(dialer, "tcp", host, &tls.Config{RootCAs: e.Roots, MinVersion: tls.VersionTLS13})
	if err != nil {
		return nil, err
	}
	return &connection{tls: t, in: bufio.NewReaderSize(t, 4<<10)}, nil
}

func (c *connection) close() { _ = c.tls.Close() } // nothing waits to be sent

// send sends the content and reads the answer, which must be 200 and must not
// speak of a rejected report.
func (c *connection) send(content []byte) error {
	out := append(c.out[:0], c.head...)
	out = append(out, "Penstock-Crc32: "...)
	out = appendHex(out, crc32.ChecksumIEEE(content))
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(content)), 10)
	out = append(out, "\r\n\r\n"...)
	out = append(out, content...)
	c.out = out
	if err := c.tls.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.tls.Write(out); err != nil {
		return err
	}
	status, err := c.read()
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("the server answered %d: %.500s", status, c.answer)
	}
	if !bytes.Contains(c.answer, []byte(`"accepted"`)) {
		return fmt.Errorf("the server did not accept: %.500s", c.answer)
	}
	return nil
}

func appendHex(dst []byte, n uint32) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return dst
}

// read reads one answer into c.answer and returns its status.
func (c *connection) read() (int, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, errors.New("the server answered no status")
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, err
	}
	length := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		const name = "content-length: "
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(line[len(name):])); err != nil {
				return 0, err
			}
		}
	}
	if length >= 0 {
		c.answer = append(c.answer[:0], make([]byte, length)...)
		_, err = io.ReadFull(c.in, c.answer)
		return status, err
	}
	return status, c.readChunks()
}

// readChunks reads a body in the chunked coding.
func (c *connection) readChunks() error {
	c.answer = c.answer[:0]
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return err
		}
		start := len(c.answer)
		c.answer = append(c.answer, make([]byte, size+2)...) // and the line's end
		if _, err := io.ReadFull(c.in, c.answer[start:]); err != nil {
			return err
		}
		c.answer = c.answer[:start+int(size)]
		if size == 0 {
			return nil
		}
	}
}
