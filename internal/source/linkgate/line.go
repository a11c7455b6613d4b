package linkgate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
	"github.com/penstock/penstock/link/seal"
	"github.com/penstock/penstock/link/session"
)

// line is an open line at work. One goroutine reads blocks and submits what they
// hold, another waits for the tickets, in their order, and a third writes: answers
// and turns. None of them waits for a controller, but for bytes and for time.
type line struct {
	*desk
	config   SerialConfig
	wire     wire
	blocks   *cobs.Line
	largest  int // bytes of payload of any frame
	boot     uint64
	flights  chan lineFlight
	wake     chan struct{} // told when there may be something to write
	stations []*station

	mu    sync.Mutex // guards everything below, and the stations
	rota  *session.Rota
	keys  map[seal.KeyID]*lineKey // that were used on a sealed line
	asked *station                // whose turn it is, nil between turns
	quiet time.Time               // when the last byte written is on its way
	out   []byte
}

// station is a controller on the line, with its session.
type station struct {
	*member
	Station
	line      *evidence.Page // the controller's own, before any hello
	principal *penstock.Principal
	silent    bool     // it did not answer its last turns
	key       *lineKey // of the last block that it sealed, nil before
}

// lineFlight is what one frame brought, on its way through the pipeline.
type lineFlight struct {
	station *station
	flight
}

// maxLineFlights bounds what is under way through the pipeline. It is above what a
// usual window has; a report beyond it is refused for now.
const maxLineFlights = 1024

// maxEnd is what the over at the end of a turn takes on the line, with the zeros
// around it.
const maxEnd = link.FrameOverhead + 10 + 4

func newLine(s *Serial, w wire) *line {
	c := &s.line
	l := &line{
		desk: &s.desk, config: *c, wire: w, flights: make(chan lineFlight, maxLineFlights), wake: make(chan struct{}, 1),
		largest: max(link.MaxGreeting, c.payload()), boot: s.boot, keys: map[seal.KeyID]*lineKey{},
	}
	l.blocks = cobs.NewLine(link.FrameOverhead + l.largest + c.around())
	var addresses []uint16
	for _, at := range c.Controllers {
		st := &station{Station: at, line: s.env.Evidence.Controller(at.Name), principal: source.Own(s.env.Name, []string{at.Name})}
		l.renew(st)
		l.stations = append(l.stations, st)
		addresses = append(addresses, at.Address)
	}
	if c.polled() {
		l.rota = session.NewRota(session.RotaConfig{
			Addresses: addresses, Budget: int(c.Turn) + maxEnd + c.around(), Rate: int(time.Second / c.Serial.Duration(1)),
			Turnaround: c.Turnaround, Idle: c.Idle,
		})
	}
	return l
}

// payload returns the largest payload of a frame that fits into a turn when it is
// sealed, where the line is, and stuffed.
func (c *SerialConfig) payload() int {
	n := int(c.Turn) - link.FrameOverhead - c.around() - 2
	return n - n/254 - 1
}

// around is how many bytes a seal takes.
func (c *SerialConfig) around() int {
	if c.Sealed {
		return seal.Overhead
	}
	return 0
}

// renew gives a station a session that has not begun. l.mu is held.
func (l *line) renew(st *station) {
	if st.member != nil {
		if len(l.out) < int(l.config.Turn) { // else it asks again: nobody fills the line with what he provokes
			l.say(st)
		}
		l.part(st.member)
	}
	st.member = &member{
		from:     caller{peer: fmt.Sprintf("%s address %d", l.config.Serial.Device, st.Address), principal: st.principal},
		Receiver: session.NewReceiver(l.receiver(st), l.env.Now()),
	}
}

// run speaks until the node's context ends, or the line fails.
func (l *line) run(node context.Context, next penstock.Handler) error {
	ctx, stop := context.WithCancelCause(node)
	defer stop(nil)
	defer context.AfterFunc(ctx, func() { l.wire.Close() })() // it ends the reads
	defer l.wire.Close()
	var work sync.WaitGroup
	work.Go(func() { l.answer(ctx) })
	work.Go(func() { stop(l.speak(ctx)) })
	stop(l.listen(ctx, next))
	close(l.flights)
	work.Wait()
	for _, st := range l.stations {
		l.part(st.member)
	}
	if node.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// listen takes what comes until the line fails.
func (l *line) listen(ctx context.Context, next penstock.Handler) error {
	buf := make([]byte, 4<<10)
	for {
		n, err := l.wire.Read(buf)
		if err != nil {
			return err
		}
		l.blocks.Feed(buf[:n])
		for {
			block, ok, err := l.blocks.Next()
			if !ok {
				break
			}
			l.block(ctx, next, block, err)
		}
		l.nudge()
	}
}

// block takes what stood between two delimiters.
func (l *line) block(ctx context.Context, next penstock.Handler, block []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var h heard
	if err == nil {
		h, err = l.hear(block)
	}
	if err != nil {
		l.damaged(block, err)
		return
	}
	if h.echo {
		if r := l.config.Serial.RS485; r == nil || !r.Echo {
			l.port.Bad(evidence.Malformed, block, fmt.Sprintf("a %s came back: the adapter hears itself (rs485.echo says that it may), or another gateway is on this line", h.name()))
		}
		return
	}
	st := l.station(h.Address)
	if st == nil {
		l.port.Bad(evidence.Refused, block, fmt.Sprintf("nobody has the address %d here: name its controller in the configuration, or correct the address in the controller", h.Address))
		return
	}
	if l.config.Sealed && !l.proven(st, &h, block) {
		return
	}
	l.over(st, h.Frame)
	if h.arrival.Question {
		l.ask(st, &h)
		return
	}
	l.session(ctx, next, st, h.Frame)
}

// session gives a frame to the session of its controller.
func (l *line) session(ctx context.Context, next penstock.Handler, st *station, f link.Frame) {
	e := l.receive(st.member, f)
	switch e.Do {
	case session.Authenticate:
		e.Hello.Token = "" // whoever sends one here shows it to the whole line: it proves nothing
		if !l.judge(st.member, &e.Hello, l.acquainted) {
			l.renew(st)
		}
	case session.Submit:
		if st.Controller() != st.Name { // without a hello the first report says whose the session is
			l.port.Bad(evidence.Refused, f.Payload, fmt.Sprintf("the controller at address %d speaks for %s, and is %s", st.Address, st.Controller(), st.Name))
			l.renew(st)
			return
		}
		if l.knows(st.member, &e.Batch) {
			l.submit(ctx, next, st, e.Batch)
		}
	case session.Finish:
		l.renew(st)
	case session.Nothing:
	}
}

// damaged counts a block that is no frame: on the port, and on the controller whose
// turn it is, or whose line, since nobody else was to speak.
func (l *line) damaged(block []byte, err error) {
	event, st := eventOf(err), l.asked
	if l.rota == nil {
		st = l.stations[0]
	}
	if st == nil {
		l.port.Bad(event, block, err.Error())
		return
	}
	st.line.Count(event)
	l.port.Bad(event, block, fmt.Sprintf("when %s was to speak: %v", st.Name, err))
}

func (l *line) station(address uint16) *station {
	for _, st := range l.stations {
		if st.Address == address {
			return st
		}
	}
	return nil
}

// over ends the turn of a station, if that is what the frame says.
func (l *line) over(st *station, f link.Frame) {
	var m link.Over
	if l.rota == nil || f.Kind != link.KindOver || m.Decode(f.Payload) != nil {
		return
	}
	l.rota.Over(l.env.Now(), st.Address, m.Waiting)
	if l.asked == st {
		l.asked = nil
	}
	if st.silent {
		st.silent = false
		l.env.Log.Info("a controller answers again", "controller", st.Name, "address", st.Address)
	}
}

func (l *line) submit(ctx context.Context, next penstock.Handler, st *station, b session.Batch) {
	if len(l.flights) == cap(l.flights) { // nobody else puts something in
		st.Judged(b, nil, penstock.RetryLater(penstock.Full, time.Second, "too many reports of this line are under way"))
		return
	}
	e := l.envelope(st.member, &b)
	l.flights <- lineFlight{st, flight{next.Submit(ctx, []penstock.Envelope{e}), []part{{st.member, b}}}}
}

// answer waits for what is under way, in its order, and tells the sessions.
func (l *line) answer(ctx context.Context) {
	for f := range l.flights {
		outcomes, err := f.ticket.Wait(ctx)
		if ctx.Err() != nil {
			continue // not known: the controller will send it again
		}
		l.judged(f, outcomes, err)
		l.nudge()
	}
}

func (l *line) judged(f lineFlight, outcomes []penstock.Outcome, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, part := range f.parts {
		o := penstock.Outcome{Err: err}
		if err == nil {
			o = outcomes[i]
		}
		if l.settle(part.member, part.batch, o).Do == session.Finish && f.station.member == part.member {
			l.renew(f.station)
		}
	}
}

func (l *line) nudge() {
	select {
	case l.wake <- struct{}{}:
	default: // it was told already
	}
}
