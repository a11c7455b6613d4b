package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/link"
)

// Limits of a source.
const (
	maxConnections = 1024
	maxQueued      = 8192     // datagrams that wait to be submitted
	maxQueuedBytes = 16 << 20 // in all of them
	maxBatch       = 256      // messages submitted at once
	maxHosts       = 1 << 16
	maxDatagram    = 64 << 10
	idleLimit      = 10 * time.Minute // of a connection: devices that have nothing to say reconnect
)

// Source takes syslog messages. Make it with [New].
type Source struct {
	compiled
	env       source.Env
	principal *penstock.Principal
	epoch     uint64

	mu   sync.Mutex
	seqs map[string]uint64 // last seq of each device in the epoch
}

// New returns a source that listens once it runs.
func New(c Config, env source.Env) (*Source, error) {
	made, err := c.compile()
	if err != nil {
		return nil, err
	}
	return &Source{
		compiled: *made, env: env, principal: source.Own(env.Name, c.Controllers),
		epoch: uint64(env.Now().UnixMilli()), seqs: map[string]uint64{},
	}, nil
}

// Run listens until ctx ends or a listener fails.
func (s *Source) Run(ctx context.Context, next penstock.Handler) error {
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	for _, at := range []struct {
		key, address string
		tls          bool
	}{{"tcp", string(s.TCP), false}, {"tls", string(s.TLS), true}} {
		if at.address == "" || at.address == "off" {
			continue
		}
		l, err := s.env.Listen(s.env.Name+"."+at.key, at.address)
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "%s: %w", at.key, err)
		}
		s.env.Bound("sources."+s.env.Name+"."+at.key, l.Addr().String())
		if at.tls {
			l = tls.NewListener(l, s.env.TLS)
		}
		listeners = append(listeners, l)
	}
	var socket net.PacketConn
	if !s.UDP.Off() {
		var err error
		if socket, err = s.env.ListenPacket(s.env.Name+".udp", string(s.UDP)); err != nil {
			return penstock.Errorf(penstock.Unavailable, "udp: %w", err)
		}
		s.env.Bound("sources."+s.env.Name+".udp", socket.LocalAddr().String())
	}
	s.env.Status.OK()
	return s.serve(ctx, next, listeners, socket)
}

// serve runs until ctx ends or one of the listeners fails, and then ends them all.
func (s *Source) serve(ctx context.Context, next penstock.Handler, listeners []net.Listener, socket net.PacketConn) error {
	var work sync.WaitGroup
	defer work.Wait()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	part := func(run func() error) {
		work.Go(func() {
			if err := run(); ctx.Err() == nil {
				fail(err)
			}
		})
	}
	for _, l := range listeners {
		part(func() error { return s.accept(ctx, l, next) })
		defer l.Close()
	}
	if socket != nil {
		q := &queue{waiting: make(chan datagram, maxQueued)}
		part(func() error { return s.receive(socket, q) })
		part(func() error { s.forward(ctx, q, next); return nil })
		defer socket.Close()
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// datagram is one message as it came.
type datagram struct {
	bytes []byte
	peer  string
	at    int64
}

// queue holds datagrams until they are submitted, bounded by number and by bytes.
type queue struct {
	waiting chan datagram
	bytes   atomic.Int64
}

// put tells whether there was room.
func (q *queue) put(d datagram) bool {
	size := int64(len(d.bytes))
	if q.bytes.Add(size) <= maxQueuedBytes {
		select {
		case q.waiting <- d:
			return true
		default:
		}
	}
	q.bytes.Add(-size)
	return false
}

// taken gives the room of a datagram back.
func (q *queue) taken(d datagram) datagram {
	q.bytes.Add(-int64(len(d.bytes)))
	return d
}

// receive reads datagrams into the queue. It never waits for anything but the
// network: what finds no room is refused, and counted.
func (s *Source) receive(socket net.PacketConn, q *queue) error {
	port := s.env.Evidence.Port(s.env.Name + "/udp")
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "udp: %w", err)
		}
		if !s.env.LetsIn(from) {
			continue
		}
		d := datagram{append([]byte(nil), buffer[:n]...), from.String(), s.env.Now().UnixNano()}
		if !q.put(d) {
			port.Count(evidence.Overrun)
		}
	}
}

// forward submits what is in the queue, as much at once as there is.
func (s *Source) forward(ctx context.Context, q *queue, next penstock.Handler) {
	port := s.env.Evidence.Port(s.env.Name + "/udp")
	p := newParser(s.zone, s.env.Now)
	for {
		var batch []penstock.Envelope
		select {
		case <-ctx.Done():
			return
		case d := <-q.waiting:
			batch = s.add(batch, p, q.taken(d), port)
		}
		for len(batch) < maxBatch && len(q.waiting) > 0 {
			batch = s.add(batch, p, q.taken(<-q.waiting), port)
		}
		if s.deliver(ctx, batch, next, port) != nil {
			return
		}
	}
}

// accept takes connections until the listener is closed.
func (s *Source) accept(ctx context.Context, l net.Listener, next penstock.Handler) error {
	var open sync.WaitGroup
	defer open.Wait()
	places := make(chan struct{}, maxConnections)
	port := s.env.Evidence.Port(s.env.Name + "/" + l.Addr().Network())
	for {
		c, err := source.Accept(ctx, l, s.env.Log)
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "%w", err)
		}
		select {
		case places <- struct{}{}:
		default:
			port.Count(evidence.Refused)
			c.Close()
			continue
		}
		open.Go(func() {
			defer func() { <-places }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			port.Count(evidence.Connected)
			if err := s.read(ctx, c, next, port); err != nil && ctx.Err() == nil {
				s.env.Log.Debug("a syslog connection ended", "peer", c.RemoteAddr().String(), "error", err)
			}
			port.Count(evidence.Lost)
		})
	}
}

// read takes the messages of one connection. While they cannot be made durable it
// does not read on, and the sender has to wait.
func (s *Source) read(ctx context.Context, c net.Conn, next penstock.Handler, port *evidence.Page) error {
	in, p, peer := newFrames(c), newParser(s.zone, s.env.Now), c.RemoteAddr().String()
	for {
		if err := c.SetReadDeadline(time.Now().Add(idleLimit)); err != nil {
			return err
		}
		var batch []penstock.Envelope
		for len(batch) == 0 || len(batch) < maxBatch && in.buffered() > 0 {
			line, err := in.next()
			if err != nil {
				if code := penstock.CodeOf(err); code == penstock.TooLarge || code == penstock.Invalid {
					port.Bad(evidence.Framing, line, peer+": "+err.Error())
				} else if errors.Is(err, io.ErrUnexpectedEOF) {
					port.Bad(evidence.Framing, line, peer+": the connection ended inside a message")
				}
				return errors.Join(err, s.deliver(ctx, batch, next, port))
			}
			batch = s.add(batch, p, datagram{line, peer, s.env.Now().UnixNano()}, port)
		}
		if err := s.deliver(ctx, batch, next, port); err != nil {
			return err
		}
	}
}

// add turns a message into an envelope, and notes what it says of links.
func (s *Source) add(batch []penstock.Envelope, p *parser, d datagram, port *evidence.Page) []penstock.Envelope {
	m, err := p.parse(d.bytes)
	if err != nil {
		port.Bad(evidence.Malformed, d.bytes, d.peer+": "+err.Error())
		return batch
	}
	port.Count(evidence.Received)
	host, _, _ := net.SplitHostPort(d.peer)
	values := []string{or(m.host, host), or(m.app, "-"), host}
	controller := s.controller.Expand(senderNames, values)
	if !s.principal.Scope.Covers(controller) {
		port.Bad(evidence.Refused, d.bytes, fmt.Sprintf("%s: the name %q is none of the source's controllers", d.peer, controller))
		return batch
	}
	seq := s.number(controller)
	if seq == 0 {
		port.Bad(evidence.Refused, d.bytes, fmt.Sprintf("%s: the source has as many devices as it may, and %q would be another", d.peer, controller))
		return batch
	}
	s.note(m.text, controller, values)
	page := s.env.Evidence.Controller(controller)
	page.Peer(d.peer)
	page.Count(evidence.Received)
	sample := penstock.Sample{
		Point: s.point.Expand(senderNames, values), Value: penstock.TextValue(m.text), Native: uint32(m.priority),
	}
	if !m.at.IsZero() {
		sample.SourceTime = m.at.UnixNano()
	}
	report := penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(s.epoch, seq), Samples: []penstock.Sample{sample}}
	return append(batch, penstock.Envelope{
		Source: s.env.Name, Peer: d.peer, Principal: s.principal, ContentType: link.MediaType,
		Body: link.AppendReport(nil, &report), ReceivedTime: d.at,
	})
}

// number returns the next seq of a device, 0 when there are too many devices.
func (s *Source) number(controller string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq, known := s.seqs[controller]
	if !known {
		if len(s.seqs) >= maxHosts {
			return 0
		}
		controller = strings.Clone(controller)
	}
	s.seqs[controller] = seq + 1
	return seq + 1
}

// note applies the rules.
func (s *Source) note(text, sender string, values []string) {
	for i := range s.rules {
		r := &s.rules[i]
		groups := r.match.FindStringSubmatch(text)
		if groups == nil {
			continue
		}
		about := sender
		if s.Rules[i].Controller != "" {
			about = r.controller.Expand(append(r.match.SubexpNames(), senderNames...), append(groups, values...))
		}
		page := s.env.Evidence.Controller(about)
		if r.counts {
			page.Count(r.event)
		}
		if r.signal != "" {
			if v, err := strconv.ParseFloat(groups[r.value], 64); err == nil {
				page.Signal(r.signal, v)
			}
		}
	}
}

// deliver makes the messages durable. What is refused for now it offers again,
// for as long as that takes.
func (s *Source) deliver(ctx context.Context, batch []penstock.Envelope, next penstock.Handler, port *evidence.Page) error {
	for len(batch) > 0 {
		outcomes, err := next.Submit(ctx, batch).Wait(ctx)
		if err != nil {
			return err
		}
		var again []penstock.Envelope
		pause := time.Second
		for i, o := range outcomes {
			switch {
			case o.Err != nil && penstock.CodeOf(o.Err).Temporary():
				again = append(again, batch[i])
				pause = max(pause, penstock.RetryAfterOf(o.Err))
			case o.Err != nil || o.Verdicts[0].Result == penstock.Rejected:
				port.Count(evidence.Refused)
			}
		}
		if batch = again; len(batch) == 0 {
			return nil
		}
		if err := source.Pause(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}
