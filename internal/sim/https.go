package sim

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/penstock/penstock"
)

// Endpoint is a gateway's HTTPS API as a client sees it.
type Endpoint struct {
	URL   string         // https://host:port, no slash at the end
	Token string         // bearer token
	Roots *x509.CertPool // what the gateway's certificate is verified against
}

// HTTPSOptions say how reports travel over HTTPS.
type HTTPSOptions struct {
	Endpoint
	Controllers int // of the fleet; needed when each has a connection of its own
	Connections int // shared by all controllers; 0: one each
}

// HTTPS sends every report as one POST /v1/reports in JSON, with its checksum
// in Penstock-Crc32.
type HTTPS struct {
	endpoint Endpoint
	clients  []*http.Client
	bodies   sync.Pool // of *[]byte
}

var _ Transport = (*HTTPS)(nil)

// maxAnswer bounds what is read of an answer to one report.
const maxAnswer = 64 << 10

// NewHTTPS returns a transport with no connection open yet.
func NewHTTPS(o HTTPSOptions) (*HTTPS, error) {
	clients, each := 1, o.Connections
	if o.Connections == 0 {
		clients, each = o.Controllers, 1
	}
	if clients < 1 || each < 1 {
		return nil, penstock.Errorf(penstock.Invalid, "the fleet needs controllers and connections: %d and %d were asked for", o.Controllers, o.Connections)
	}
	t := &HTTPS{endpoint: o.Endpoint, clients: make([]*http.Client, clients)}
	dialer := newDialer(o.Roots)
	for i := range t.clients {
		t.clients[i] = dialer.client(each)
	}
	return t, nil
}

// NewClient returns an HTTP/1.1 client over TLS 1.3 that keeps up to the given
// number of connections to a host.
func NewClient(roots *x509.CertPool, connections int) *http.Client {
	return newDialer(roots).client(connections)
}

// A dialer opens connections, a bounded number at a time: when thousands come at
// once, more handshakes side by side only make each other late.
type dialer struct {
	tls   tls.Dialer
	slots chan struct{}
}

func newDialer(roots *x509.CertPool) *dialer {
	const handshakes = 64
	return &dialer{
		tls:   tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}},
		slots: make(chan struct{}, handshakes),
	}
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-d.slots }()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return d.tls.DialContext(ctx, network, address)
}

// client returns a client that keeps up to the given number of connections.
func (d *dialer) client(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialTLSContext:      d.dial,
		MaxConnsPerHost:     connections,
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     2 * time.Minute,
		DisableCompression:  true,
		ReadBufferSize:      4 << 10,
		WriteBufferSize:     4 << 10,
	}}
}

// Send implements [Transport].
func (t *HTTPS) Send(ctx context.Context, m Message) (Answer, error) {
	body, _ := t.bodies.Get().(*[]byte)
	if body == nil {
		body = new([]byte)
	}
	*body = AppendJSON((*body)[:0], m.Report)
	crc := crc32.ChecksumIEEE(*body)
	if m.Damage != 0 {
		Damage(*body, m.Damage)
	}
	request, err := t.endpoint.request(ctx, http.MethodPost, "/v1/reports", bytes.NewReader(*body))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Penstock-Crc32", fmt.Sprintf("%08x", crc))
	response, err := t.clients[m.Controller%len(t.clients)].Do(request)
	if err != nil {
		// The client may still be writing the body: it is left to the collector.
		return Answer{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	defer response.Body.Close() // it was read to its end
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusMultiStatus {
		return Answer{}, refusal(response, raw)
	}
	t.bodies.Put(body) // it was judged, so all of it was sent
	return readAnswer(raw, m.Report)
}

// Close implements [Transport].
func (t *HTTPS) Close() error {
	for _, c := range t.clients {
		c.CloseIdleConnections()
	}
	return nil
}

func (e Endpoint) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, e.URL+path, body)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the gateway's address %q: %w", e.URL, err)
	}
	r.Header.Set("Authorization", "Bearer "+e.Token)
	return r, nil
}

// readAnswer reads the result of the one report that was sent.
func readAnswer(raw []byte, r *penstock.Report) (Answer, error) {
	var answer struct {
		Results []struct {
			Controller string `json:"controller"`
			Epoch      uint64 `json:"epoch"`
			Seq        uint64 `json:"seq"`
			Result     string `json:"result"`
			Reason     string `json:"reason"`
			Detail     string `json:"detail"`
			Committed  struct {
				Epoch uint64 `json:"epoch"`
				Seq   uint64 `json:"seq"`
			} `json:"committed"`
		} `json:"results"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return Answer{}, fmt.Errorf("%w: the answer is not JSON: %w", ErrUnknown, err)
	}
	if len(answer.Results) != 1 {
		return Answer{}, fmt.Errorf("%w: one report was sent, %d results came", ErrUnknown, len(answer.Results))
	}
	result := answer.Results[0]
	if result.Controller != r.Controller || result.Epoch != r.Identity.Epoch || result.Seq != r.Identity.Seq {
		return Answer{}, fmt.Errorf("%w: the answer is about %s %d/%d", ErrUnknown, result.Controller, result.Epoch, result.Seq)
	}
	a := Answer{Reason: penstock.Reason(result.Reason), Detail: result.Detail}
	if result.Committed.Epoch == result.Epoch {
		a.Committed = penstock.Mark{Epoch: result.Epoch, Seq: result.Committed.Seq}
	}
	for _, known := range []penstock.Result{penstock.Accepted, penstock.Duplicate, penstock.Rejected} {
		if result.Result == known.String() {
			a.Result = known
			return a, nil
		}
	}
	return Answer{}, fmt.Errorf("%w: the result %q is not known", ErrUnknown, result.Result)
}

// refusal turns an answer that judged nothing into an error. A failure of the
// gateway itself leaves open what became of the message.
func refusal(response *http.Response, body []byte) error {
	var problem struct {
		Code   string `json:"code"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(body, &problem) // a proxy may answer in another form: then the status says all
	text := fmt.Sprintf("the gateway answered %d: %s: %s", response.StatusCode, problem.Title, problem.Detail)
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // absent: the sender's own back-off holds
		return penstock.RetryLater(penstock.Unavailable, time.Duration(max(seconds, 0))*time.Second, text)
	case status == http.StatusRequestTimeout, status >= http.StatusInternalServerError:
		return fmt.Errorf("%w: %s", ErrUnknown, text)
	}
	for code := penstock.Invalid; code <= penstock.Closed; code++ {
		if code.String() == problem.Code && !code.Temporary() {
			return penstock.Errorf(code, "%s", text)
		}
	}
	return penstock.Errorf(penstock.Invalid, "%s", text)
}
