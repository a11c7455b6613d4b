package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/api"
)

func indent(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(s), "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func (g *gateway) dial(protocols ...string) *tls.Conn {
	g.t.Helper()
	c, err := tls.Dial("tcp", g.addr, &tls.Config{RootCAs: g.roots, NextProtos: protocols})
	if err != nil {
		g.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	return c
}

func TestOldTLSAndPlainHTTPAreRefused(t *testing.T) {
	g := start(t)
	for v := uint16(tls.VersionTLS10); v <= tls.VersionTLS12; v++ {
		if c, err := tls.Dial("tcp", g.addr, &tls.Config{RootCAs: g.roots, MinVersion: v, MaxVersion: v}); err == nil {
			c.Close()
			t.Errorf("TLS %x passed", v)
		}
	}
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /v1/query HTTP/1.1\r\nHost: x\r\n\r\n")
	c.SetDeadline(time.Now().Add(10 * time.Second))
	answer, _ := io.ReadAll(c) // to the end: the connection is closed
	if !bytes.HasPrefix(answer, []byte("HTTP/1.0 400 ")) || bytes.Contains(answer, []byte("Location")) {
		t.Errorf("plain HTTP: %s", answer)
	}
}

// Senders that keep still are cut off when their time is over: not before, and not after.
func TestSlowSendersAreCutOff(t *testing.T) {
	const headerWait, progress, idle = 20 * time.Second, 30 * time.Second, 3 * time.Minute
	for name, c := range map[string]struct {
		send, want string
		after      time.Duration
	}{
		"no handshake":  {"", "", headerWait},
		"half a header": {"GET /v1/query HTTP/1.1\r\nHost: x\r\nX-Slow: ", "", headerWait},
		"half a body":   {"POST /v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer controller\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 408 ", progress},
		"half a line":   {"POST /v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer controller\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "HTTP/1.1 408 ", progress},
		"nothing more":  {"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", idle},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, wires := prepareInVirtualTime(t, func(o *api.Options) {
					o.Limits.Web.HeaderWait, o.Limits.Web.Progress, o.Limits.Web.Idle = headerWait, progress, idle
				})
				g.run(g.pipeline)
				conn := wires.connect()
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(time.Hour))
				if name != "no handshake" {
					conn = g.secure(conn, "http/1.1")
				}
				io.WriteString(conn, c.send)
				began := time.Now()
				answer, err := io.ReadAll(conn)
				var timeout net.Error
				if ok := err != nil && asTimeout(err, &timeout); ok {
					t.Fatal("the connection was left open")
				}
				if took := time.Since(began); took < c.after || took > c.after+time.Second { // the library waits a moment for the answer to be read
					t.Errorf("it was cut off after %v, not %v", took, c.after)
				}
				if !strings.HasPrefix(string(answer), c.want) || c.want == "" && len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 408") {
					t.Errorf("%.200s", answer)
				}
			})
		})
	}
}

func TestSlowStreamsAreCutOff(t *testing.T) {
	g := start(t, func(o *api.Options) { o.Limits.Web.Progress = 200 * time.Millisecond })
	r, w := io.Pipe()
	defer w.Close()
	req, _ := http.NewRequest(http.MethodPost, "https://"+g.addr+"/v1/reports", r)
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer controller")
	go w.Write([]byte("{"))
	res, err := g.client(true).Do(req)
	if err != nil {
		return // the stream was reset, which is as good
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%d", res.StatusCode)
	}
}

// A certificate of a client is what its credential is looked up by.
func TestClientCertificate(t *testing.T) {
	ca, cert := testCertificate(t, "pump-17")
	g := start(t, func(o *api.Options) {
		o.TLS.ClientCAs, o.TLS.ClientAuth, o.TLS.GetConfigForClient = ca, tls.VerifyClientCertIfGiven, nil
	})
	c := g.client(false)
	c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{cert}
	r := g.send(c, "["+report("pump-17", 1, 1, 1)+","+report("pump-18", 1, 1, 1)+"]", "Authorization", "")
	if r.status != 207 || !strings.Contains(r.body, `"accepted"`) || !strings.Contains(r.body, `"forbidden"`) {
		t.Error(r)
	}
}

func testCertificate(t *testing.T, name string) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(encodePEM(der))
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func asTimeout(err error, target *net.Error) bool {
	n, ok := err.(net.Error)
	*target = n
	return ok && n.Timeout()
}

func TestFramingThatServersDisagreeOn(t *testing.T) {
	g := start(t)
	body := report("a", 1, 1, 1)
	head := "POST /v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer controller\r\nContent-Type: application/json\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	for name, request := range map[string]string{
		"two lengths":         head + length + "Content-Length: 5\r\n\r\n" + body,
		"length and chunked":  head + length + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"unknown coding":      head + "Transfer-Encoding: xchunked\r\n\r\n" + body,
		"coding twice":        head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a folded header":     head + "X-A: b\r\n c\r\n" + "Content-Length : 3\r\n\r\n{}\n",
		"a space in the name": head + "Content-Length : 3\r\n\r\n{}\n",
		"a negative length":   head + "Content-Length: -1\r\n\r\n",
		"no host":             "GET /v1/query HTTP/1.1\r\n\r\n",
		"a bad version":       "GET /v1/query HTTP/3.7\r\nHost: x\r\n\r\n",
	} {
		conn := g.dial("http/1.1")
		io.WriteString(conn, request)
		conn.CloseWrite()
		answer, _ := io.ReadAll(conn)
		conn.Close()
		// No case gives two answers: nothing is hidden behind the first request.
		if n := bytes.Count(answer, []byte("HTTP/1.1 ")); n > 1 || bytes.Contains(answer, []byte("HTTP/1.1 200")) {
			t.Errorf("%s: %s", name, answer)
		}
	}
	if len(g.pipeline.known) > 0 {
		t.Errorf("something was taken: %v", g.pipeline.known)
	}
}

func TestFloodsOfHeaders(t *testing.T) {
	g := start(t)
	conn := g.dial("http/1.1")
	defer conn.Close()
	go func() {
		fmt.Fprint(conn, "GET /v1/query HTTP/1.1\r\nHost: x\r\n")
		for i := range 100_000 {
			if _, err := fmt.Fprintf(conn, "X-%d: y\r\n", i); err != nil {
				return
			}
		}
	}()
	answer, _ := io.ReadAll(conn)
	if len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 431")) {
		t.Errorf("%.200s", answer)
	}
}

// Frames of HTTP/2 (RFC 9113).
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7
	flagEndStream, flagEndHeaders                                   = 1, 4
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// A client that resets each stream at once gets no more handlers than streams, and is told
// to calm down before a few times as many wait for one.
func TestRapidResetIsBounded(t *testing.T) {
	synctest.Test(t, rapidReset)
}

func rapidReset(t *testing.T) {
	const streams = 20
	g, wires := prepareInVirtualTime(t, func(o *api.Options) { o.Limits.Web.Streams = streams })
	busy := &busyPipeline{fakePipeline: g.pipeline, gate: make(chan struct{})}
	g.run(busy)
	conn := g.secure(wires.connect(), "h2")
	defer conn.Close()
	told := make(chan uint32, 1)
	var wg sync.WaitGroup
	wg.Go(func() { told <- lastWord(conn); io.Copy(io.Discard, conn) })
	io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	conn.Write(frame(frameSettings, 0, 0, nil))
	var header []byte
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/v1/reports"}, {"authorization", "Bearer controller"}, {"content-type", "application/json"}} {
		header = append(header, 0, byte(len(h[0]))) // literal, not indexed, new name
		header = append(append(append(header, h[0]...), byte(len(h[1]))), h[1]...)
	}
	begun := 0
	for ; len(told) == 0 && begun < 100_000; begun++ {
		id := uint32(2*begun + 1)
		stream := frame(frameHeaders, flagEndHeaders, id, header)
		stream = append(stream, frame(frameData, flagEndStream, id, []byte(report("a", 1, 1, 1)))...)
		stream = append(stream, frame(frameReset, 0, id, []byte{0, 0, 0, 8})...)
		if _, err := conn.Write(stream); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the server has done what it can
	}
	const enhanceYourCalm = 0xb
	if code := <-told; code != enhanceYourCalm {
		t.Errorf("after %d streams that were reset the server said %#x", begun, code)
	}
	if begun > 6*streams {
		t.Errorf("it took %d streams that were reset until the server had enough", begun)
	}
	wg.Wait() // it hangs up by itself
	if n := busy.handlers.Load(); n != streams {
		t.Errorf("%d handlers had work at once, not %d", n, streams)
	}
	honest := g.secure(wires.connect(), "http/1.1")
	defer honest.Close()
	fmt.Fprint(honest, "GET /problems/full HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(honest); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		t.Errorf("an honest client: %v, %.100s", err, answer)
	}
	close(busy.gate)
}

// lastWord reads frames until GOAWAY, and returns its code; 0 when the connection ends
// without.
func lastWord(conn io.Reader) uint32 {
	header := make([]byte, 9)
	for {
		if _, err := io.ReadFull(conn, header); err != nil {
			return 0
		}
		body := make([]byte, int(header[0])<<16|int(header[1])<<8|int(header[2]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return 0
		}
		if header[3] == frameGoAway && len(body) >= 8 {
			return binary.BigEndian.Uint32(body[4:])
		}
	}
}

func TestConnectionsAreCounted(t *testing.T) {
	g := start(t, func(o *api.Options) { o.Limits.Web.Connections = 2 })
	a, b := g.dial("http/1.1"), g.dial("http/1.1")
	defer a.Close()
	if c, err := tls.Dial("tcp", g.addr, &tls.Config{RootCAs: g.roots}); err == nil {
		c.Close()
		t.Error("a third connection passed")
	}
	if n := g.server.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
	b.Close()
	eventually(t, "room", func() bool {
		c, err := tls.Dial("tcp", g.addr, &tls.Config{RootCAs: g.roots})
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func TestDrainAnswersWhatIsUnderWay(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		g := start(t)
		gate := make(chan struct{})
		g.pipeline.gate = gate
		answered := make(chan reply, 1)
		go func() { answered <- g.send(g.client(h2), report("a", 1, 1, 1)) }()
		eventually(t, "the envelope", func() bool { g.pipeline.mu.Lock(); defer g.pipeline.mu.Unlock(); return len(g.pipeline.envelopes) == 1 })
		stopped := make(chan struct{})
		go func() { g.stop(); close(stopped) }()
		eventually(t, "the end of the listener", func() bool {
			c, err := net.Dial("tcp", g.addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		close(gate)
		if r := <-answered; r.status != 200 {
			t.Error(r)
		}
		<-stopped
	})
}

// Callers are told to go before their connections are closed; one who has just
// connected is answered first; and one who comes too late is left in the queue.
func TestDrainRefusesNobody(t *testing.T) {
	g := start(t, func(o *api.Options) { o.Limits.Web.Linger = time.Second })
	early := g.dial("http/1.1")
	ask := func(c net.Conn) *http.Response {
		t.Helper()
		fmt.Fprintf(c, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if ask(early).Close {
		t.Error("a connection is closed before the end")
	}
	late := g.dial("http/1.1") // it asks only when the listener is closed
	stopped := make(chan struct{})
	go func() { g.stop(); close(stopped) }()
	eventually(t, "the end of new streams", func() bool {
		c := g.dial("http/1.1")
		defer c.Close()
		return ask(c).Close
	})
	if r := ask(early); r.StatusCode != 200 || !r.Close {
		t.Errorf("a caller who keeps its connection gets %s, close %v", r.Status, r.Close)
	}
	early.Close()
	eventually(t, "the end of the listener", func() bool {
		c, err := net.Dial("tcp", g.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if r := ask(late); r.StatusCode != 200 || !r.Close {
		t.Errorf("a caller who had just connected gets %s, close %v", r.Status, r.Close)
	}
	late.Close()
	<-stopped
}

// A request that ends in the middle of its body leaves what was submitted as it
// is, and the server as it was.
func TestAConnectionThatDies(t *testing.T) {
	g := start(t)
	conn := g.dial("http/1.1")
	body := lines(3000, 1)
	fmt.Fprintf(conn, "POST /v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer controller\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s", 2*len(body), body)
	eventually(t, "three parts", func() bool { g.pipeline.mu.Lock(); defer g.pipeline.mu.Unlock(); return len(g.pipeline.envelopes) == 3 })
	conn.Close()
	eventually(t, "the end of the request", func() bool { return strings.Contains(g.seen.text(), "POST /v1/reports") })
	r := g.send(g.client(false), lines(6000, 1), "Content-Type", "application/x-ndjson")
	if a, d := strings.Count(r.body, `"accepted"`), strings.Count(r.body, `"duplicate"`); r.status != 200 || a != 3000 || d != 3000 {
		t.Errorf("%d: %d accepted, %d duplicate", r.status, a, d)
	}
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("curl is missing: make tools installs it")
	}
	g := start(t)
	file := filepath.Join(t.TempDir(), "cert.pem")
	conn := g.dial()
	raw := conn.ConnectionState().PeerCertificates[0].Raw
	conn.Close()
	if err := os.WriteFile(file, encodePEM(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, version := range []string{"--http1.1", "--http2"} {
		for i, want := range []string{`"result":"accepted"`, `"result":"duplicate"`} {
			out, err := exec.CommandContext(ctx, curl, "-sS", version, "--cacert", file, "-H", "Authorization: Bearer controller",
				"-H", "Content-Type: application/json", "-d", report("curl"+version, 1, 1, 1), "https://"+g.addr+"/v1/reports").CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%s, time %d: %v %s", version, i+1, err, out)
			}
		}
		if out, err := exec.CommandContext(ctx, curl, "-sS", version, "--tls-max", "1.2", "--cacert", file, "https://"+g.addr+"/").CombinedOutput(); err == nil {
			t.Errorf("TLS 1.2: %s", out)
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	if _, err := api.New(api.Options{Source: "https"}); err == nil || !strings.Contains(err.Error(), "Listener") {
		t.Error(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := start(t)
	_, err = api.New(api.Options{Source: "https", Listener: ln, TLS: &tls.Config{}, Auth: g.fleet, Registry: g.fleet, Historian: g.historian,
		Sheets: g.sheets, Ledger: fakeLedger{}, Spool: g.historian, Feed: g.feed, Evidence: g.evidence, Ops: newFakeOps(), Delivery: api.Delivery{Sinks: g.sinks, Held: g.sinks}, Diagnosis: fakeDiagnosis{}})
	if err == nil || !strings.Contains(err.Error(), "TLS 1.3") {
		t.Error(err)
	}
}

func encodePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
