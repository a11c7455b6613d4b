package linkgate

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/session"
)

// conn is one connection. One goroutine reads frames and submits what they hold,
// another waits for the tickets, in their order, and writes the answers.
type conn struct {
	desk    *desk
	nc      net.Conn
	from    caller
	scanner *link.Scanner
	heard   []byte // what the last read brought, for the evidence
	patient bool   // a session is open: the idle limit holds
	flights chan flight
	wake    chan struct{} // told when there may be something to write

	mu      sync.Mutex // guards everything below
	members map[uint16]*member
	eased   *sync.Cond // a window has room again, or the connection is over
	over    bool
}

// flight is what one read brought, on its way through the pipeline.
type flight struct {
	ticket penstock.Ticket
	parts  []part
}

// part is one data frame of a flight.
type part struct {
	member *member
	batch  session.Batch
}

// Bounds of what a connection has under way, beside its sessions' windows.
const (
	maxFlights     = 4
	maxFlightParts = 64
)

func newConn(d *desk, nc net.Conn, from caller) *conn {
	c := &conn{
		desk: d, nc: nc, from: from, flights: make(chan flight, maxFlights), wake: make(chan struct{}, 1), members: map[uint16]*member{},
	}
	c.eased = sync.NewCond(&c.mu)
	c.scanner = link.NewScanner(c, link.MaxGreeting)
	return c
}

// Read implements io.Reader for the scanner: it sets the deadline of silence.
func (c *conn) Read(p []byte) (int, error) {
	limit := handshakeTime
	if c.patient {
		limit = c.desk.config.idle()
	}
	if err := c.nc.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	c.heard = p[:n]
	return n, err
}

// run carries the connection to its end.
func (c *conn) run(ctx context.Context, next penstock.Handler) {
	stopped := context.AfterFunc(ctx, func() { c.nc.SetReadDeadline(time.Unix(1, 0)); c.end() })
	defer stopped()
	var writing sync.WaitGroup
	writing.Go(func() { c.write(ctx) })
	c.read(ctx, next)
	if ctx.Err() != nil {
		c.goodbye()
	}
	close(c.flights)
	writing.Wait()
	for _, m := range c.members {
		c.desk.part(m)
	}
}

// end lets go whoever waits for room.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.eased.Broadcast()
}

func (c *conn) goodbye() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		m.Bye("stop", 0)
	}
}

// read takes frames until the connection ends.
func (c *conn) read(ctx context.Context, next penstock.Handler) {
	var es []penstock.Envelope
	var parts []part
	for {
		f, err := c.scanner.Next()
		if err != nil {
			c.failed(err)
			return
		}
		m, going := c.take(ctx, f, &es, &parts)
		full := c.full(m)
		if len(parts) > 0 && (full || !going || !c.scanner.Ready() || len(parts) == maxFlightParts) {
			c.flights <- flight{next.Submit(ctx, es), parts}
			es, parts = nil, nil
		}
		if !going || full && !c.waitForRoom(m) {
			return
		}
		c.nudge()
	}
}

// take gives a frame to its session. It returns false when that ends the
// connection.
func (c *conn) take(ctx context.Context, f link.Frame, es *[]penstock.Envelope, parts *[]part) (*member, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[f.Address]
	if m == nil {
		if len(c.members) >= c.desk.config.Sessions {
			c.desk.port.Count(evidence.Refused)
			return nil, false
		}
		m = c.member(f.Address)
	}
	e := c.desk.receive(m, f)
	switch e.Do {
	case session.Authenticate:
		if !c.desk.judge(m, &e.Hello, c.acquainted(ctx)) {
			return m, false
		}
	case session.Submit:
		*es = append(*es, c.desk.envelope(m, &e.Batch))
		*parts = append(*parts, part{m, e.Batch})
	case session.Finish:
		return m, false
	case session.Nothing:
	}
	c.patient = c.patient || m.Open()
	if c.patient {
		c.scanner.SetLimit(link.MaxPayload)
	}
	return m, true
}

// acquainted waits for what the record knows of a controller, which delays nobody but
// those who speak on this connection. c.mu is held, and let go meanwhile.
func (c *conn) acquainted(ctx context.Context) acquaint {
	return func(controller string, epoch uint64) error {
		if c.desk.env.Newcomers == nil {
			return nil
		}
		c.mu.Unlock()
		defer c.mu.Lock()
		return c.desk.env.Newcomers.Await(ctx, controller, epoch)
	}
}

// member makes the session of an address. c.mu is held.
func (c *conn) member(address uint16) *member {
	d := c.desk
	m := &member{from: c.from, Receiver: session.NewReceiver(session.ReceiverConfig{
		Address: address, Window: int(d.config.Window), Largest: int(d.config.Window), Heartbeat: d.config.Heartbeat.Std(), SameDisk: d.env.SameDisk,
	}, d.env.Now())}
	c.members[address] = m
	return m
}

// failed notes why the stream ended. A frame that cannot be read is answered.
func (c *conn) failed(err error) {
	if link.FaultOf(err) == "" {
		return // closed, silent or broken: the session is counted as lost
	}
	c.desk.port.Bad(eventOf(err), c.heard, c.from.peer+": "+err.Error())
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[0]
	if m == nil {
		m = c.member(0)
	}
	if m.page != nil && len(c.members) == 1 {
		m.page.Count(eventOf(err)) // the connection is its alone
	}
	m.Broken(err)
}

func (c *conn) full(m *member) bool {
	if m == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.Full()
}

// waitForRoom waits until a session's window has room, and returns false when the
// connection is over.
func (c *conn) waitForRoom(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for m.Full() && !c.over {
		c.eased.Wait()
	}
	return !c.over
}

func (c *conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default: // it was told already
	}
}

// write answers until the reader has ended and everything under way is judged.
func (c *conn) write(ctx context.Context) {
	tick := time.NewTimer(commitTime)
	defer tick.Stop()
	var buf []byte
	for going := true; going; {
		select {
		case f, ok := <-c.flights:
			going = ok && c.judged(ctx, f)
		case <-c.wake:
		case <-tick.C:
			c.advance()
		}
		buf = c.output(buf[:0], tick)
		if len(buf) == 0 {
			continue
		}
		if c.nc.SetWriteDeadline(time.Now().Add(writeTime)) != nil {
			break
		}
		if _, err := c.nc.Write(buf); err != nil {
			break
		}
		if cap(buf) > 16<<10 {
			buf = nil
		}
	}
	c.nc.Close() // the reader sees it
	c.end()
	for range c.flights { // it may still have something
	}
}

// judged waits for a flight and tells its sessions. It returns false when nothing
// more can be told.
func (c *conn) judged(ctx context.Context, f flight) bool {
	outcomes, err := f.ticket.Wait(ctx)
	if ctx.Err() != nil {
		return false // not known: the controller will send it again
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.eased.Broadcast()
	going := true
	for i, p := range f.parts {
		o := penstock.Outcome{Err: err}
		if err == nil {
			o = outcomes[i]
		}
		if c.desk.settle(p.member, p.batch, o).Do == session.Finish {
			going = false
		}
	}
	return going
}

// advance tells the sessions how far the record is.
func (c *conn) advance() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		c.desk.advance(m)
	}
}

// output appends what the sessions have to say, and sees that the tick comes while
// the record is behind one of them.
func (c *conn) output(buf []byte, tick *time.Timer) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	behind := false
	for _, m := range c.members {
		buf = append(buf, m.Output()...)
		behind = behind || m.behind
	}
	if behind {
		tick.Reset(commitTime)
	}
	return buf
}
