package demo

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// Run runs the demo until its time is over or ctx ends, then waits for what is
// under way, checks, and reports. The error says why the demo could not be
// carried out; whether it proved anything is in [Summary.OK].
func Run(ctx context.Context, o Options) (Summary, error) {
	o, err := o.complete()
	if err != nil {
		return Summary{}, err
	}
	directory := o.Data
	if directory == "" {
		if directory, err = os.MkdirTemp("", "penstock-demo-"); err != nil {
			return Summary{}, penstock.Errorf(penstock.Internal, "make a data directory: %w", err)
		}
		defer os.RemoveAll(directory) // a temporary directory that stays harms nobody
	} else if directory, err = filepath.Abs(directory); err != nil {
		return Summary{}, penstock.Errorf(penstock.Invalid, "the data directory: %w", err)
	}
	socket, address, err := listen(o.Listen)
	if err != nil {
		return Summary{}, err
	}
	defer socket.Close() // no data in it
	d := demo{Options: o, directory: directory, gateway: &gateway{
		program: o.Program, directory: directory, socket: socket, address: address, killEvery: o.KillEvery,
	}}
	if len(o.Breaks) > 0 {
		if d.drill, err = newDrill(&o, directory); err != nil {
			return Summary{}, err
		}
		defer d.drill.close()
		d.gateway.more = d.drill.arguments()
	} else if err := d.configure(); err != nil {
		return Summary{}, err
	}
	return d.run(ctx)
}

// configure gives the gateway a configuration that a person may change while it runs. One
// that is there stays as it is.
func (d *demo) configure() error {
	d.gateway.more = []string{"--config", d.configFile()}
	if err := os.MkdirAll(d.directory, 0o750); err != nil {
		return penstock.Errorf(penstock.Internal, "make the data directory: %w", err)
	}
	const text = "# The gateway of the demo. Add to this file what you like to try (see docs/configuration.md), then:\n#   penstock reload --data %s\n"
	f, err := os.OpenFile(d.configFile(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		_, err = fmt.Fprintf(f, text, d.directory)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return penstock.Errorf(penstock.Internal, "write the gateway's configuration: %w", err)
	}
	return nil
}

func (d *demo) configFile() string { return filepath.Join(d.directory, "penstock.yaml") }

// A demo is one run.
type demo struct {
	Options
	directory string
	gateway   *gateway
	fleet     *sim.Fleet
	reader    *sim.Reader
	drill     *drill     // nil when nothing is broken on purpose
	saying    sync.Mutex // guards Messages while the fleet runs
}

// run keeps the gateway alive beside the rest, and ends it last, whatever
// happens.
func (d *demo) run(ctx context.Context) (summary Summary, err error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	work, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	var child sync.WaitGroup
	var childErr error
	child.Go(func() {
		childErr = d.gateway.run(life)
		abort(childErr)
	})
	defer func() {
		end()
		child.Wait()
		abort(nil)
		if childErr != nil {
			err = childErr // the cause of whatever failed beside it
		}
	}()
	return d.send(work, ctx)
}

// send runs the fleet until until ends or the time is over, then checks. The
// work itself ends early only with ctx, when the gateway cannot go on.
func (d *demo) send(ctx, until context.Context) (Summary, error) {
	endpoint, err := d.meet(ctx)
	if err != nil {
		return Summary{}, err
	}
	d.reader = sim.NewReader(endpoint)
	defer d.reader.Close()
	started := time.Now()
	transport, err := d.launch(endpoint, started)
	if err != nil {
		return Summary{}, err
	}
	defer transport.Close() // idle connections
	d.welcome(ctx, endpoint)
	d.drive(ctx, until)
	if ctx.Err() != nil {
		return Summary{}, context.Cause(ctx)
	}
	summary := Summary{Run: Figures{
		Controllers: d.Controllers, Seconds: time.Since(started).Seconds(), Restarts: d.gateway.restarts.Load(), Seed: d.Seed,
	}}
	return summary, d.conclude(ctx, &summary)
}

// meet waits until the gateway answers, and returns how to reach it.
func (d *demo) meet(ctx context.Context) (sim.Endpoint, error) {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for pause := 20 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		var e sim.Endpoint
		if e, last = d.endpoint(); last == nil {
			r := sim.NewReader(e)
			_, last = readLedger(ctx, r)
			r.Close()
		}
		if last == nil {
			return e, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return sim.Endpoint{}, penstock.Errorf(penstock.Unavailable, "the gateway did not answer within %v: %w; its last words:\n%s", patience, last, &d.gateway.output)
}

// endpoint reads what the gateway left for its clients.
func (d *demo) endpoint() (sim.Endpoint, error) {
	token, err := os.ReadFile(filepath.Join(d.directory, "admin.token"))
	if err != nil {
		return sim.Endpoint{}, err
	}
	certificate, err := os.ReadFile(d.certificate())
	if err != nil {
		return sim.Endpoint{}, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		return sim.Endpoint{}, errors.New("the gateway's certificate cannot be read")
	}
	return sim.Endpoint{URL: "https://" + d.gateway.address, Token: strings.TrimSpace(string(token)), Roots: roots}, nil
}

func (d *demo) certificate() string { return filepath.Join(d.directory, "tls", "cert.pem") }

// launch makes the fleet. Its epoch is the time, so that a directory can be used
// again.
func (d *demo) launch(e sim.Endpoint, now time.Time) (sim.Transport, error) {
	model, err := sim.NewModel(sim.ModelOptions{
		Seed: d.Seed, Controllers: d.Controllers, Epoch: uint64(now.UnixMilli()), Start: now, Interval: d.Interval, Speed: d.Speed,
	})
	if err != nil {
		return nil, err
	}
	var transport sim.Transport
	transport, err = sim.NewHTTPS(sim.HTTPSOptions{Endpoint: e, Controllers: d.Controllers, Connections: d.Connections})
	if err != nil {
		return nil, err
	}
	if d.drill != nil {
		if transport, err = d.drill.connect(transport, e, model, uint64(now.UnixMilli())); err != nil {
			return nil, err
		}
	}
	d.fleet, err = sim.New(sim.Options{Model: model, Transport: transport, Impair: d.Impair, Seed: d.Seed})
	return transport, err
}

// drive runs the fleet, tells how it goes, and waits until everything is settled
// or it is hopeless.
func (d *demo) drive(ctx, until context.Context) {
	sending, give := context.WithCancel(ctx)
	defer give()
	var beside sync.WaitGroup
	beside.Go(func() { d.fleet.Run(sending); give() })
	beside.Go(func() { d.tell(sending) })
	if d.drill != nil {
		beside.Go(func() { d.drill.run(sending, d) })
	}
	defer beside.Wait()
	if d.For > 0 {
		var cancel context.CancelFunc
		until, cancel = context.WithTimeout(until, d.For)
		defer cancel()
	}
	select {
	case <-until.Done():
	case <-sending.Done():
		return
	}
	if d.drill != nil {
		d.drill.heal(ctx, d)
	}
	d.fleet.Stop()
	d.gateway.peace.Store(true)
	d.say("No more reports are made; what is under way is settled now.\n")
	select {
	case <-time.After(drain):
		give()
	case <-sending.Done():
	}
}

// conclude waits for the record, checks, and writes the result.
func (d *demo) conclude(ctx context.Context, s *Summary) error {
	books, err := d.settle(ctx)
	if err != nil {
		return err
	}
	var store sim.Store = d.reader
	if d.drill != nil {
		store = d.drill.plant.Store(store)
		s.Drill = d.drill.said()
	}
	balance, err := sim.Check(ctx, d.fleet, store, d.Data == "")
	if err != nil {
		return err
	}
	s.add(d.fleet, balance)
	s.Books = books.Total
	s.Quarantined = books.Total.Quarantined
	if err := d.fleet.Err(); err != nil {
		s.Findings = append(s.Findings, err.Error())
	}
	if d.JSON {
		return s.writeJSON(d.Out)
	}
	books.write(d.Out)
	s.write(d.Out)
	s.writeDrill(d.Out)
	return nil
}

// settle waits until the spool has given everything to the record, or for as
// long as that may take.
func (d *demo) settle(ctx context.Context) (ledger, error) {
	deadline := time.Now().Add(drain)
	for {
		books, err := readLedger(ctx, d.reader)
		if err == nil && books.Total.InSpool == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return books, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
