package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/internal/sim"
	"github.com/penstock/penstock/internal/sim/simline"
	"github.com/penstock/penstock/internal/sim/simlink"
	"github.com/penstock/penstock/internal/sim/trouble"
)

// The plant of a drill: two serial lines, radios with the link protocol over TLS,
// and the rest over HTTPS.
const (
	drillLines  = 2
	ofDrillLine = 5
	ofDrillSite = 10
	radioTenths = 4 // of those that are not on a line
)

// drill breaks the plant of a demo on purpose, and keeps what the gateway says.
type drill struct {
	plant     *trouble.Plant
	lines     []*simline.Line
	directory string
	link      string // address of listen.link
	seed      uint64
	healed    atomic.Bool

	mu      sync.Mutex   // guards the next two
	asked   map[int]bool // troubles whose verdict was asked for
	results []Drilled
}

// Drilled is what was broken, and what the gateway said of it in the end.
type Drilled struct {
	Break    string         `json:"break"`
	Severity float64        `json:"severity"`
	Cause    string         `json:"cause"` // that it really has
	Said     map[string]int `json:"said"`  // of controllers that it takes, by verdict
	Others   map[string]int `json:"others"`
	Answers  []Answered     `json:"answers"`
}

// Answered is what the gateway said of one controller.
type Answered struct {
	Controller string   `json:"controller"`
	Taken      bool     `json:"taken"` // by the break
	Verdict    string   `json:"verdict"`
	Rule       string   `json:"rule,omitempty"`
	Confidence float64  `json:"confidence"`
	For        []string `json:"evidence_for,omitempty"`
	// What a gateway says that knows answers, timeouts, exceptions and damaged frames,
	// and no more: ok, timeout, exception, line fault.
	State string `json:"state"`
}

// newDrill makes the plant, which does not speak yet.
func newDrill(o *Options, directory string) (*drill, error) {
	model, err := sim.NewModel(sim.ModelOptions{Seed: o.Seed, Controllers: o.Controllers, Start: time.Now(), Interval: o.Interval, Speed: o.Speed})
	if err != nil {
		return nil, err
	}
	d := &drill{directory: directory, seed: o.Seed, asked: map[int]bool{}}
	places := placesOf(model)
	var breaks []trouble.Break
	for i, text := range o.Breaks {
		b, err := trouble.Parse(text)
		if err == nil {
			err = b.Settle(places, o.Seed+uint64(i)<<32)
		}
		if err != nil {
			return nil, err
		}
		breaks = append(breaks, b)
	}
	d.plant = trouble.NewPlant(places, breaks, o.Seed, time.Now)
	for i := range drillLines {
		name := fmt.Sprint("line-", i+1)
		line, err := simline.Open(o.Seed+uint64(i), func() float64 { return d.noise(name) })
		if err != nil {
			d.close()
			return nil, err
		}
		d.lines = append(d.lines, line)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.close()
		return nil, penstock.Errorf(penstock.Unavailable, "a port for the link protocol: %w", err)
	}
	d.link = l.Addr().String()
	if err := errors.Join(l.Close(), d.configure()); err != nil { // the gateway takes the port
		d.close()
		return nil, err
	}
	return d, nil
}

// placesOf says where the controllers of a fleet stand.
func placesOf(m *sim.Model) []trouble.Place {
	places := make([]trouble.Place, m.Controllers())
	onLines := min(drillLines*ofDrillLine, m.Controllers())
	radios := onLines + (m.Controllers()-onLines)*radioTenths/10/ofDrillSite*ofDrillSite
	for i := range places {
		p := trouble.Place{Name: m.Name(i)}
		switch {
		case i < onLines:
			p.Site, p.Line, p.Beats = "works", fmt.Sprint("line-", i/ofDrillLine+1), true
		case i < radios:
			p.Radio, p.Beats = true, true
			fallthrough
		default:
			p.Site = fmt.Sprintf("site-%02d", (i-onLines)/ofDrillSite+1)
		}
		places[i] = p
	}
	return places
}

func (d *drill) noise(line string) float64 {
	if d.healed.Load() {
		return 0
	}
	return d.plant.Noise(line)
}

func (d *drill) close() {
	for _, l := range d.lines {
		l.Close() // a simulation: nothing is lost with it
	}
	os.Remove(d.slowFile())
}

func (d *drill) configFile() string { return filepath.Join(d.directory, "demo.yaml") }
func (d *drill) slowFile() string   { return filepath.Join(d.directory, "break-store") }

func (d *drill) arguments() []string {
	return []string{"--config", d.configFile(), "--set", "listen.link=" + d.link, "--set", "diagnose.window=10s", "--break-store", d.slowFile()}
}

// configure writes the gateway's configuration: the lines.
func (d *drill) configure() error {
	var b strings.Builder
	fmt.Fprintln(&b, "sources:")
	for i, l := range d.lines {
		fmt.Fprintf(&b, "  - name: line-%d\n    link:\n      serial: {device: %s, baud: 115200}\n      turn: 16KiB\n      idle: 200ms\n      heartbeat: 5s\n      controllers:\n", i+1, l.Device())
		for k := range d.plant.Places {
			if p := &d.plant.Places[k]; p.Line == fmt.Sprint("line-", i+1) {
				fmt.Fprintf(&b, "        - {name: %q, address: %d}\n", p.Name, k+1)
			}
		}
	}
	if err := os.MkdirAll(d.directory, 0o750); err != nil {
		return err
	}
	return os.WriteFile(d.configFile(), []byte(b.String()), 0o640)
}

// connect joins the transports of the plant, and tells the gateway where its
// controllers stand.
func (d *drill) connect(https sim.Transport, e sim.Endpoint, model *sim.Model, epoch uint64) (sim.Transport, error) {
	options := simlink.Options{
		Address: d.link, Name: model.Name, Epoch: epoch, Token: e.Token, Roots: e.Roots, Controllers: model.Controllers(), Beat: d.plant.Beat, Every: time.Second,
	}
	radio, err := simlink.New(options)
	if err != nil {
		return nil, err
	}
	options.Token, options.Beat = "", nil
	options.Dial = func(controller int) (carrier.Carrier, uint16, error) {
		address := uint16(controller + 1)
		c, err := d.lines[controller/ofDrillLine].Dial(address)
		return c, address, err
	}
	serial, err := simlink.New(options)
	if err != nil {
		return nil, err
	}
	ways := &mux{places: d.plant.Places, https: https, radio: radio, serial: serial}
	if err := d.place(e); err != nil {
		return nil, errors.Join(err, ways.Close())
	}
	d.plant.Begin()
	return d.plant.Transport(ways), nil
}

// place imports the sites and lines.
func (d *drill) place(e sim.Endpoint) error {
	var sheet bytes.Buffer
	fmt.Fprintln(&sheet, "controller,site,line")
	for _, p := range d.plant.Places {
		fmt.Fprintf(&sheet, "%s,%s,%s\n", p.Name, p.Site, p.Line)
	}
	client := sim.NewClient(e.Roots, 1)
	defer client.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodPost, e.URL+"/v1/controllers/import", &sheet)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+e.Token)
	r.Header.Set("Content-Type", "text/csv")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() // only read from
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return penstock.Errorf(penstock.Internal, "the gateway did not take the sites: %s: %s", answer.Status, text)
	}
	return nil
}

// mux carries each controller's messages by its own way.
type mux struct {
	places               []trouble.Place
	https, radio, serial sim.Transport
}

// Send implements [sim.Transport].
func (m *mux) Send(ctx context.Context, message sim.Message) (sim.Answer, error) {
	switch p := &m.places[message.Controller]; {
	case p.Line != "":
		return m.serial.Send(ctx, message)
	case p.Radio:
		return m.radio.Send(ctx, message)
	}
	return m.https.Send(ctx, message)
}

// Close implements [sim.Transport].
func (m *mux) Close() error { return errors.Join(m.https.Close(), m.radio.Close(), m.serial.Close()) }

// run breaks what stands still by itself, tells what is going on, and asks for the
// verdicts before a trouble ends.
func (d *drill) run(ctx context.Context, of *demo) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	was := make([]bool, len(d.plant.Breaks))
	for ctx.Err() == nil {
		for i := range d.plant.Breaks {
			b := &d.plant.Breaks[i]
			on := d.plant.On(b) && !d.healed.Load()
			if on != was[i] {
				was[i] = on
				of.say("%s\n", map[bool]string{true: fmt.Sprintf("BROKEN: %s (severity %.2f)", b, b.Severity), false: fmt.Sprintf("mended: %s", b)}[on])
			}
			if b.For > 0 && time.Since(begun) > b.Start+b.For-time.Second && !d.healed.Load() {
				d.askOnce(ctx, of, i)
			}
			d.act(ctx, of, b, on)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	d.act(context.WithoutCancel(ctx), of, &trouble.Break{Kind: trouble.Store}, false)
}

// act does what the plant cannot do to itself: to the gateway and its store.
func (d *drill) act(ctx context.Context, of *demo, b *trouble.Break, on bool) {
	switch {
	case b.Kind == trouble.Store && on:
		slow := time.Duration((2 + 8*b.Severity) * float64(time.Second))
		if b.Way == 0 {
			slow = time.Hour
		}
		if err := os.WriteFile(d.slowFile(), []byte(slow.String()), 0o600); err != nil {
			of.say("the store could not be broken: %v\n", err)
		}
	case b.Kind == trouble.Store:
		os.Remove(d.slowFile())
	case b.Kind == trouble.Gateway && on:
		pid := int(of.gateway.pid.Load())
		for _, s := range []struct {
			signal syscall.Signal
			then   time.Duration
		}{{syscall.SIGSTOP, time.Duration((2 + 4*b.Severity) * float64(time.Second))}, {syscall.SIGCONT, 1500 * time.Millisecond}} {
			if err := syscall.Kill(pid, s.signal); err != nil {
				of.say("the gateway could not be stopped: %v\n", err)
				return
			}
			timer := time.NewTimer(s.then)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
				return
			}
		}
	}
}

// heal ends all troubles, after the verdicts on those that began were asked for.
func (d *drill) heal(ctx context.Context, of *demo) {
	for i := range d.plant.Breaks {
		if d.plant.Began(&d.plant.Breaks[i]) {
			d.askOnce(ctx, of, i)
		}
	}
	d.plant.Heal()
	d.healed.Store(true)
	os.Remove(d.slowFile())
}

// askOnce asks for the verdicts on a trouble, unless that was done.
func (d *drill) askOnce(ctx context.Context, of *demo, i int) {
	d.mu.Lock()
	done := d.asked[i]
	d.asked[i] = true
	d.mu.Unlock()
	if !done {
		d.ask(ctx, of, &d.plant.Breaks[i])
	}
}

// ask asks for the verdicts on the controllers that a trouble takes, and on some
// others.
func (d *drill) ask(ctx context.Context, of *demo, b *trouble.Break) {
	const most = 20
	r := Drilled{Break: b.String(), Severity: b.Severity, Cause: b.Kind.Cause(), Said: map[string]int{}, Others: map[string]int{}}
	taken, others := 0, 0
	for i := range d.plant.Places {
		p := &d.plant.Places[(i*37+int(d.seed))%len(d.plant.Places)]
		into, n := r.Said, &taken
		if !b.Takes(p) {
			into, n = r.Others, &others
		}
		if *n >= most {
			continue
		}
		answer, err := of.verdict(ctx, p.Name)
		if err != nil {
			of.say("no verdict on %s: %v\n", p.Name, err)
			continue
		}
		answer.Taken = b.Takes(p)
		*n++
		into[answer.Verdict]++
		r.Answers = append(r.Answers, answer)
	}
	of.say("%s is %s; the gateway says of those that it takes %v, of others %v\n", b, r.Cause, r.Said, r.Others)
	d.mu.Lock()
	d.results = append(d.results, r)
	d.mu.Unlock()
}

// verdict asks the gateway what it says of a controller.
func (d *demo) verdict(ctx context.Context, controller string) (Answered, error) {
	var answer struct {
		Answered
		Now struct {
			Fresh, Damaged, Timeouts, Exceptions int
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := d.reader.Get(ctx, "/v1/diagnose/"+url.PathEscape(controller), &answer)
	switch now := answer.Now; {
	case now.Exceptions > 0:
		answer.State = "exception"
	case now.Damaged > 0:
		answer.State = "line fault"
	case now.Timeouts > 0 || now.Fresh == 0:
		answer.State = "timeout"
	default:
		answer.State = "ok"
	}
	return answer.Answered, err
}

func (d *drill) said() []Drilled {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.results
}
