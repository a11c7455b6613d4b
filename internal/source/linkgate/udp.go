package linkgate

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/seal"
	"github.com/penstock/penstock/link/session"
)

// Bounds of the UDP listener.
const (
	maxDatagrams  = 1024    // under way through the pipeline
	receiveBuffer = 4 << 20 // bytes that the kernel keeps while the gateway is busy
	peersASession = 100     // how many keys are remembered for each of Config.Sessions
	questionEach  = 100 * time.Millisecond
)

// UDP is the listener for controllers that send sealed datagrams.
type UDP struct {
	desk
	address config.Address
	socket  *net.UDPConn
	boot    uint64 // of this start of the gateway: random

	mu     sync.Mutex // guards everything below
	peers  map[seal.KeyID]*peer
	behind map[*peer]bool // the record may not have all that they sent
	sealed []byte         // the datagram being made
}

// peer is a key that was used, with its session.
type peer struct {
	*member
	key      *seal.Key
	gate     *seal.Gateway
	address  netip.AddrPort // where the newest datagram came from
	heard    time.Time
	question time.Time // when the next question is answered
}

// sealedFlight is what one datagram brought, on its way through the pipeline.
type sealedFlight struct {
	peer *peer
	flight
}

var _ penstock.Source = (*UDP)(nil)

// NewUDP returns the source behind listen.link_udp.
func NewUDP(address config.Address, c Config, env source.Env) (*UDP, error) {
	if env.Keys == nil {
		return nil, penstock.Errorf(penstock.Invalid, "the link protocol over UDP needs the keys of the controllers")
	}
	boot, err := newBoot(env)
	if err != nil {
		return nil, err
	}
	return &UDP{
		desk: desk{env: env, config: c, port: env.Evidence.Port(env.Name)}, address: address, boot: boot,
		peers: map[seal.KeyID]*peer{}, behind: map[*peer]bool{},
	}, nil
}

// Run listens until ctx ends.
func (u *UDP) Run(ctx context.Context, next penstock.Handler) error {
	l, err := u.env.ListenPacket("link_udp", string(u.address))
	if err != nil {
		return err
	}
	u.socket = l.(*net.UDPConn)
	defer u.socket.Close()
	if err := u.socket.SetReadBuffer(receiveBuffer); err != nil {
		u.env.Log.Warn("the kernel gives the UDP socket a small buffer: more datagrams are lost in bursts", "error", err)
	}
	u.env.Bound("listen.link_udp", u.socket.LocalAddr().String())
	u.env.Status.OK()
	flights := make(chan sealedFlight, maxDatagrams)
	var answering sync.WaitGroup
	answering.Go(func() { u.answer(ctx, flights) })
	defer answering.Wait()
	defer close(flights)
	defer context.AfterFunc(ctx, func() { u.socket.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, 64<<10)
	frames := make([]byte, 0, 64<<10)
	for {
		n, from, err := u.socket.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			continue // an answer did not reach its controller, says the network
		}
		if u.env.Lets != nil && !u.env.Lets(from.Addr()) {
			continue
		}
		if f := u.take(ctx, next, from, buf[:n], frames); f.peer != nil {
			flights <- f
		}
	}
}

// take opens a datagram and gives its frames to the session of its key.
func (u *UDP) take(ctx context.Context, next penstock.Handler, from netip.AddrPort, datagram, room []byte) (f sealedFlight) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, err := u.find(datagram)
	if err != nil {
		u.bad(from, datagram, err)
		return f
	}
	frames, arrival, err := p.gate.Open(room, datagram)
	if err != nil {
		u.bad(from, datagram, err)
		return f
	}
	now := u.env.Now()
	p.heard = now
	if arrival.Question {
		u.ask(p, from, arrival, frames)
		return f
	}
	if arrival.Newest {
		p.address = from
		p.from.peer = from.String()
	}
	if arrival.Restart || !now.Before(p.Deadline()) {
		u.renew(p)
	}
	es, parts := u.frames(p, frames)
	if len(parts) > 0 {
		return sealedFlight{p, flight{next.Submit(ctx, es), parts}}
	}
	u.send(p)
	return f
}

// bad notes a datagram that did not open. It is never answered.
func (u *UDP) bad(from netip.AddrPort, datagram []byte, err error) {
	u.port.Bad(eventOf(err), datagram, from.String()+": "+err.Error())
}

// find returns the peer of a datagram's key. The key is looked up each time, so
// that a revocation holds at once.
func (u *UDP) find(datagram []byte) (*peer, error) {
	h, err := seal.Parse(datagram)
	if err != nil {
		return nil, err
	}
	secret, principal, err := u.env.Keys.Key(binary.BigEndian.Uint64(h.Key[:]))
	if err != nil {
		return nil, err
	}
	p := u.peers[h.Key]
	if p == nil {
		key, err := seal.NewKey(h.Key, secret)
		if err != nil {
			return nil, err
		}
		// It is remembered only when the datagram opens: nobody fills the table with
		// ids that he has read somewhere.
		probe := seal.NewGateway(key, u.boot)
		if _, _, err := probe.Open(nil, datagram); err != nil {
			return nil, err
		}
		u.makeRoom()
		p = &peer{key: key, gate: seal.NewGateway(key, u.boot)}
		u.renew(p)
		u.peers[h.Key] = p
	}
	p.from.principal = principal
	return p, nil
}

// makeRoom forgets the key that was silent for longest when the table is full.
func (u *UDP) makeRoom() {
	if len(u.peers) < u.config.Sessions*peersASession {
		return
	}
	var oldest seal.KeyID
	var silent *peer
	for id, p := range u.peers {
		if silent == nil || p.heard.Before(silent.heard) {
			oldest, silent = id, p
		}
	}
	u.part(silent.member)
	delete(u.peers, oldest)
	delete(u.behind, silent)
}

// renew gives the peer a session that has not begun.
func (u *UDP) renew(p *peer) {
	from := caller{}
	if p.member != nil {
		u.part(p.member)
		from = p.from
	}
	from.lastBoot = p.gate.LastBoot()
	p.member = &member{from: from, Receiver: u.receiver()}
}

func (u *UDP) receiver() *session.Receiver {
	return session.NewReceiver(session.ReceiverConfig{
		Window: int(u.config.Window), Largest: u.largest() - link.FrameOverhead, Heartbeat: u.config.Heartbeat.Std(),
		SameDisk: u.env.SameDisk, Implicit: true,
	}, u.env.Now())
}

// largest is how many bytes of frames a datagram holds.
func (u *UDP) largest() int { return int(u.config.Datagram) - seal.Overhead }

// frames gives the frames of a datagram to the session.
func (u *UDP) frames(p *peer, frames []byte) (es []penstock.Envelope, parts []part) {
	for len(frames) > 0 {
		f, size, err := link.NextFrame(frames, u.largest()-link.FrameOverhead)
		if err != nil || size == 0 {
			if err == nil {
				err = link.FaultCOBS.Errorf("the datagram ends within a frame")
			}
			u.port.Bad(eventOf(err), frames, p.from.peer+": "+err.Error())
			return es, parts
		}
		frames = frames[size:]
		m := p.member
		e := u.receive(m, f)
		switch e.Do {
		case session.Authenticate:
			if !u.judge(m, &e.Hello, u.acquainted) {
				u.send(p)
				u.renew(p)
				return es, parts
			}
		case session.Submit:
			if !m.from.principal.Scope.Covers(m.Controller()) { // a session that began without a hello
				u.port.Count(evidence.Refused)
				u.renew(p)
				return es, parts
			}
			if !u.knows(m, &e.Batch) {
				continue
			}
			es = append(es, u.envelope(m, &e.Batch))
			parts = append(parts, part{m, e.Batch})
		case session.Finish:
			u.send(p)
			u.renew(p)
			return es, parts
		case session.Nothing:
		}
	}
	return es, parts
}

// ask answers a controller that has lost its boot number, without touching its
// session.
func (u *UDP) ask(p *peer, from netip.AddrPort, question seal.Arrival, frames []byte) {
	now := u.env.Now()
	f, _, err := link.NextFrame(frames, link.MaxGreeting)
	if err != nil || now.Before(p.question) {
		u.port.Count(evidence.Refused)
		return
	}
	p.question = now.Add(questionEach)
	m := &member{from: p.from, Receiver: u.receiver()}
	m.from.peer, m.from.lastBoot = from.String(), p.gate.LastBoot()
	if !u.question(m, f) {
		return
	}
	u.sealed = p.gate.SealAnswer(u.sealed[:0], question, m.Output())
	u.write(from)
}

// newBoot draws the boot of this start of the gateway.
func newBoot(env source.Env) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(env.Rand, b[:]); err != nil {
		return 0, penstock.Errorf(penstock.Internal, "no random bytes for the seals of the link protocol: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// send seals what the session has to say. What does not fit into one datagram is
// left out, and the ack at the end is kept: the controller will ask again.
func (u *UDP) send(p *peer) {
	if p.behind {
		u.behind[p] = true
	}
	out := p.Output()
	if len(out) == 0 || !p.address.IsValid() {
		return
	}
	u.sealed = p.gate.Seal(u.sealed[:0], fit(out, u.largest()))
	u.write(p.address)
}

func (u *UDP) write(to netip.AddrPort) {
	if _, err := u.socket.WriteToUDPAddrPort(u.sealed, to); err != nil {
		u.env.Log.Debug("an answer could not be sent", "peer", to, "error", err)
	}
}

// fit returns as many of the frames as have room, the last one in any case.
func fit(frames []byte, room int) []byte {
	if len(frames) <= room {
		return frames
	}
	kept, last := 0, 0
	for at := 0; at < len(frames); {
		size, err := link.FrameSize(frames[at:], link.MaxPayload)
		if err != nil || size == 0 {
			return nil // never: they are ours
		}
		last = at
		at += size
	}
	room -= len(frames) - last
	for kept < last {
		size, _ := link.FrameSize(frames[kept:], link.MaxPayload)
		if kept+size > room {
			break
		}
		kept += size
	}
	return append(frames[:kept:kept], frames[last:]...)
}

// answer waits for what is under way, in its order, and tells the sessions.
func (u *UDP) answer(ctx context.Context, flights <-chan sealedFlight) {
	tick := time.NewTicker(commitTime)
	defer tick.Stop()
	for {
		select {
		case f, ok := <-flights:
			if !ok {
				return
			}
			outcomes, err := f.ticket.Wait(ctx)
			if ctx.Err() == nil {
				u.judged(f, outcomes, err)
			}
		case <-tick.C:
			u.advanceAll()
		}
	}
}

func (u *UDP) judged(f sealedFlight, outcomes []penstock.Outcome, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, part := range f.parts {
		o := penstock.Outcome{Err: err}
		if err == nil {
			o = outcomes[i]
		}
		e := u.settle(part.member, part.batch, o)
		if f.peer.member == part.member && e.Do == session.Finish {
			u.send(f.peer)
			u.renew(f.peer)
			return
		}
	}
	u.send(f.peer)
}

// advanceAll tells the controllers that wait for it how far the record is.
func (u *UDP) advanceAll() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for p := range u.behind {
		u.advance(p.member)
		delete(u.behind, p)
		u.send(p) // notes it again if it is still behind
	}
}
