// Package simtest is a small gateway for tests of the simulated fleet: it speaks
// the HTTP API, keeps what it takes in a file, and does wrong on purpose when it
// is asked to, so that a test can see whether the wrong is found.
package simtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/link"
)

// Faults are what the gateway does wrong. Each number n means every n-th time, 0
// never.
type Faults struct {
	DropAnswer   int // take the report, then cut the connection
	Unavailable  int // answer 503 and take nothing
	StoreTwice   int // store the samples of a report twice
	Lose         int // answer accepted and store nothing
	LoseSample   int // answer accepted and store all samples but the first
	Mutate       int // store a report's first float with its last bit flipped
	Invent       int // store a report that nobody sent beside this one
	Reject       int // answer rejected and store nothing
	RejectStored int // answer rejected and store the report
	SkipChecksum bool
	Page         int // most samples in one answer to a query; the rest follows
}

// Sample is one stored sample as JSON has it.
type Sample struct {
	Point  string          `json:"point"`
	Time   json.Number     `json:"time"`
	Value  json.RawMessage `json:"value"`
	Status json.Number     `json:"status,omitempty"`
	Unit   string          `json:"unit,omitempty"`
}

// Report is one report as JSON has it.
type Report struct {
	Controller string   `json:"controller"`
	Epoch      uint64   `json:"epoch"`
	Seq        uint64   `json:"seq"`
	Samples    []Sample `json:"samples"`
}

type identity struct {
	controller string
	epoch, seq uint64
}

// Gateway is the fake. It is safe for concurrent use.
type Gateway struct {
	token  string
	faults Faults
	mux    *http.ServeMux

	mu      sync.Mutex // guards everything below
	journal *os.File   // nil: in memory only
	count   int
	known   map[identity]bool
	marks   map[identity]uint64            // by controller and epoch: up to which seq there is no gap
	stored  map[string]map[string][]Sample // by controller and point
	books   Books
}

// Books is what GET /v1/ledger answers in its total.
type Books struct {
	Received  int64            `json:"received"`
	Accepted  int64            `json:"accepted"`
	Duplicate int64            `json:"duplicate"`
	Rejected  map[string]int64 `json:"rejected"`
	Committed int64            `json:"committed"`
}

// Open returns a gateway that wants the token. With a file name, it first takes
// back what an earlier one kept there, and keeps every report there before it
// answers.
func Open(token, file string, faults Faults) (*Gateway, error) {
	g := &Gateway{
		token: token, faults: faults, mux: http.NewServeMux(),
		known: map[identity]bool{}, marks: map[identity]uint64{}, stored: map[string]map[string][]Sample{},
		books: Books{Rejected: map[string]int64{}},
	}
	g.mux.HandleFunc("POST /v1/reports", g.reports)
	g.mux.HandleFunc("GET /v1/query", g.query)
	g.mux.HandleFunc("GET /v1/controllers", g.controllers)
	g.mux.HandleFunc("GET /v1/ledger", g.ledger)
	if file == "" {
		return g, nil
	}
	journal, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := g.replay(journal); err != nil {
		return nil, errors.Join(err, journal.Close())
	}
	g.journal = journal
	return g, nil
}

// replay takes back what a journal has. A line that a death cut short was never
// acknowledged.
func (g *Gateway) replay(journal *os.File) error {
	raw, err := io.ReadAll(journal)
	if err != nil {
		return err
	}
	whole := raw[:bytes.LastIndexByte(raw, '\n')+1]
	for line := range bytes.Lines(whole) {
		var r Report
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		g.take(r)
	}
	if err := journal.Truncate(int64(len(whole))); err != nil {
		return err
	}
	_, err = journal.Seek(0, io.SeekEnd)
	return err
}

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+g.token {
		problem(w, http.StatusUnauthorized, "no such token")
		return
	}
	g.mux.ServeHTTP(w, r)
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	answer(w, map[string]any{"status": status, "title": http.StatusText(status), "detail": detail})
}

// answer writes v. A client that has gone away is its own trouble.
func answer(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }

// due tells whether it is the n-th time.
func (g *Gateway) due(n int) bool { return n > 0 && g.count%n == 0 }

func (g *Gateway) reports(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	sum := fmt.Sprintf("%08x", crc32.ChecksumIEEE(body))
	if r.Header.Get("Content-Type") == link.MediaType {
		body = fromBinary(body)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count++
	var report Report
	switch {
	case g.due(g.faults.Unavailable):
		problem(w, http.StatusServiceUnavailable, "later")
		return
	case sum != r.Header.Get("Penstock-Crc32") && !g.faults.SkipChecksum:
		g.books.Rejected["checksum"]++
		problem(w, http.StatusBadRequest, "the checksum does not hold")
		return
	case json.Unmarshal(body, &report) != nil:
		g.books.Rejected["malformed"]++
		problem(w, http.StatusBadRequest, "not a report")
		return
	}
	result := g.judge(report)
	if g.due(g.faults.DropAnswer) {
		panic(http.ErrAbortHandler)
	}
	answer(w, map[string]any{"results": []any{map[string]any{
		"controller": report.Controller, "epoch": report.Epoch, "seq": report.Seq, "result": result,
		"committed": map[string]uint64{"epoch": report.Epoch, "seq": g.through(report)},
	}}})
}

// fromBinary returns a report of the binary format in JSON, nothing when it is
// none.
func fromBinary(body []byte) []byte {
	var d link.Decoder
	var r penstock.Report
	if _, err := d.Decode(body, &r); err != nil {
		return nil
	}
	return sim.AppendJSON(nil, &r)
}

// through returns up to which seq the report's epoch has no gap.
func (g *Gateway) through(r Report) uint64 {
	epoch := identity{r.Controller, r.Epoch, 0}
	for g.known[identity{r.Controller, r.Epoch, g.marks[epoch] + 1}] {
		g.marks[epoch]++
	}
	return g.marks[epoch]
}

// judge takes a report and returns the result, with the faults that are due.
func (g *Gateway) judge(r Report) string {
	id := identity{r.Controller, r.Epoch, r.Seq}
	f := g.faults
	switch {
	case g.due(f.Reject):
		return "rejected"
	case g.due(f.RejectStored) && !g.known[id]:
		g.take(r)
		return "rejected"
	case g.known[id]:
		g.books.Duplicate++
		return "duplicate"
	case g.due(f.Lose):
		g.known[id] = true
		return "accepted"
	case g.due(f.LoseSample):
		r.Samples = r.Samples[1:]
	case g.due(f.Mutate):
		r.Samples[0].Value = json.RawMessage(`0.30000000000000004`)
	case g.due(f.Invent):
		ghost := r
		ghost.Seq += 1000
		ghost.Samples = append([]Sample(nil), r.Samples...)
		for i := range ghost.Samples {
			at, _ := ghost.Samples[i].Time.Int64() // a fleet sends nothing else
			ghost.Samples[i].Time = json.Number(strconv.FormatInt(at+1, 10))
		}
		g.take(ghost)
	case g.due(f.StoreTwice):
		g.take(r)
	}
	g.keep(r)
	g.take(r)
	return "accepted"
}

func (g *Gateway) keep(r Report) {
	if g.journal == nil {
		return
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = g.journal.Write(append(line, '\n'))
	}
	if err != nil {
		panic(err) // a test's disk: the server answers nothing and the test fails
	}
}

func (g *Gateway) take(r Report) {
	g.known[identity{r.Controller, r.Epoch, r.Seq}] = true
	g.books.Accepted++
	g.books.Committed++
	points := g.stored[r.Controller]
	if points == nil {
		points = map[string][]Sample{}
		g.stored[r.Controller] = points
	}
	for _, s := range r.Samples {
		points[s.Point] = append(points[s.Point], s)
	}
}

// row is one sample of an answer to a query.
type row struct {
	Sample
	at, status int64
}

func (g *Gateway) query(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	controller := r.FormValue("controller")
	from, _ := strconv.ParseInt(r.FormValue("from"), 10, 64) // absent: everything
	skip, _ := strconv.Atoi(r.FormValue("next"))             // absent: from the first
	var rows []row
	for _, point := range slices.Sorted(maps.Keys(g.stored[controller])) {
		rows = append(rows, since(g.stored[controller][point], from)...)
	}
	next := ""
	rows = rows[skip:]
	if g.faults.Page > 0 && len(rows) > g.faults.Page {
		rows = rows[:g.faults.Page]
		next = strconv.Itoa(skip + len(rows))
	}
	// The names of a series come before its samples, as in the API.
	out := bytes.NewBufferString(`{"series":[`)
	for i, s := range rows {
		switch {
		case i > 0 && rows[i-1].Point == s.Point:
			out.WriteByte(',')
		default:
			if i > 0 {
				out.WriteString(`]},`)
			}
			fmt.Fprintf(out, `{"controller":%s,"point":%s,"unit":%s,"samples":[`, quoted(controller), quoted(s.Point), quoted(s.Unit))
		}
		fmt.Fprintf(out, `[%d,%s,%d]`, s.at, s.Value, s.status)
	}
	if len(rows) > 0 {
		out.WriteString(`]}`)
	}
	fmt.Fprintf(out, `],"next":%q}`, next)
	_, _ = w.Write(out.Bytes()) // a client that has gone away is its own trouble
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string cannot fail
	return b
}

// since returns the samples that are not before from, in the order of time.
func since(samples []Sample, from int64) []row {
	var rows []row
	for _, s := range samples {
		at, _ := s.Time.Int64()       // a fleet sends nothing else
		status, _ := s.Status.Int64() // absent: Good
		if s.Value == nil {           // damage can take it away
			s.Value = json.RawMessage("null")
		}
		if at >= from {
			rows = append(rows, row{s, at, status})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.at, b.at) })
	return rows
}

func (g *Gateway) controllers(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := []map[string]string{}
	for name := range g.stored {
		list = append(list, map[string]string{"name": name})
	}
	answer(w, map[string]any{"controllers": list})
}

func (g *Gateway) ledger(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.books
	b.Received = b.Accepted + b.Duplicate
	for _, n := range b.Rejected {
		b.Received += n
	}
	answer(w, map[string]any{"total": b})
}
