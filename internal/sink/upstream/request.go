package upstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// Times and bounds of a request.
const (
	handshakeTime = 10 * time.Second
	idleTime      = 2 * time.Minute // the centre closes after 3 min
	mostHeader    = 64 << 10
	mostAnswer    = 8 << 20 // a result has some 100 bytes, and more where it is refused
	mostText      = 300     // of the centre's words in an error
)

// client returns what requests are made with: one connection, which is kept.
func (s *settings) client() (*http.Client, error) {
	config, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: handshakeTime, IdleConnTimeout: idleTime,
		MaxIdleConnsPerHost: 1, MaxResponseHeaderBytes: mostHeader,
	}
	if s.proxy != nil {
		t.Proxy = http.ProxyURL(s.proxy)
	}
	// A redirect would carry the token to somebody else.
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// tlsConfig says whom to believe. The files are read anew.
func (s *settings) tlsConfig() (*tls.Config, error) {
	config, err := s.TLS.Config()
	if err != nil || s.pin == nil {
		return config, err
	}
	config.InsecureSkipVerify = true // by the authorities: the certificate itself is known
	config.VerifyConnection = func(state tls.ConnectionState) error {
		sum := sha256.Sum256(state.PeerCertificates[0].Raw)
		if subtle.ConstantTimeCompare(sum[:], s.pin) != 1 {
			return penstock.Errorf(penstock.Unavailable, "its certificate has the fingerprint %s, and not that of the configuration: compare it with what the centre prints", hex.EncodeToString(sum[:]))
		}
		return nil
	}
	return config, nil
}

// answer is what the centre answers.
type answer struct {
	Results   []result `json:"results"`
	Committed *bool    `json:"committed"`
}

// result is what became of one report.
type result struct {
	Controller string          `json:"controller"`
	Epoch      uint64          `json:"epoch"`
	Seq        uint64          `json:"seq"`
	Key        string          `json:"key"`
	Result     string          `json:"result"`
	Reason     penstock.Reason `json:"reason"`
	Detail     string          `json:"detail"`
}

// post sends the body. An error has a temporary code, or code [penstock.TooLarge] when
// the centre finds the body too large.
func (s *Sink) post(ctx context.Context, body []byte) (a answer, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.server.Address+"/v1/reports?wait=committed", bytes.NewReader(body))
	if err != nil {
		return a, penstock.Errorf(penstock.Internal, "a request to %s: %w", s.server.Address, err)
	}
	r.Header.Set("Content-Type", link.ForwardedType)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Prefer", "wait="+strconv.Itoa(int(patience(ctx).Seconds())))
	if s.Token.Set() {
		r.Header.Set("Authorization", "Bearer "+s.Token.Reveal())
	}
	response, err := s.http.Do(r)
	if err != nil {
		return a, penstock.Errorf(penstock.Unavailable, "the centre %s does not answer: %w", s.server.Address, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer+1))
	switch {
	case err != nil:
		return a, penstock.Errorf(penstock.Unavailable, "the answer of the centre %s broke off: %w", s.server.Address, err)
	case len(text) > mostAnswer:
		return a, penstock.Errorf(penstock.Unavailable, "the answer of %s has more than %d bytes: is it a Penstock?", s.server.Address, mostAnswer)
	}
	switch response.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusMultiStatus:
	default:
		return a, s.refused(response, text)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, penstock.Errorf(penstock.Unavailable, "the answer of %s cannot be read: is it a Penstock? %w", s.server.Address, err)
	}
	return a, nil
}

// refused returns the error of a request that the centre refused as a whole. It says
// nothing of one report, but for its size.
func (s *Sink) refused(response *http.Response, text []byte) error {
	var problem struct {
		Detail string `json:"detail"`
		Do     string `json:"do"`
	}
	if json.Unmarshal(text, &problem) != nil || problem.Detail == "" {
		problem.Detail = fmt.Sprintf("%.*q", mostText, text)
	}
	said := fmt.Sprintf("the centre %s answers %s: %.*s", s.server.Address, response.Status, mostText, problem.Detail)
	code := penstock.Unavailable
	switch response.StatusCode {
	case http.StatusRequestEntityTooLarge:
		return penstock.Errorf(penstock.TooLarge, "%s", said)
	case http.StatusTooManyRequests:
		code = penstock.Limited
	case http.StatusUnauthorized:
		said += ": look at token, or at the certificate that is shown"
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusNotFound:
		said += ": a Penstock that cannot say what is committed, or none: it has to be as new as this one"
	}
	after, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 where it does not say
	return penstock.RetryLater(code, time.Duration(max(after, 0))*time.Second, said)
}
