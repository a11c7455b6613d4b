package framed

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/framing"
)

const (
	maxDatagram = 64 << 10
	// Bounds of the datagrams that wait for their decision. What comes beyond is
	// refused, and counted: in the kernel's buffer nobody would count it.
	maxWaiting      = 1024
	maxWaitingBytes = 16 << 20
)

// waiting is what waits for its decision.
type waiting struct{ datagrams, bytes atomic.Int64 }

// enter tells whether there is room for a datagram of n bytes, which leaves later.
func (w *waiting) enter(n int) bool {
	number, bytes := w.datagrams.Add(1), w.bytes.Add(int64(n))
	if number <= maxWaiting && bytes <= maxWaitingBytes {
		return true
	}
	w.leave(n)
	return false
}

func (w *waiting) leave(n int) {
	w.datagrams.Add(-1)
	w.bytes.Add(int64(-n))
}

// datagrams reads datagrams until the socket fails.
func (s *Source) datagrams(ctx context.Context, next penstock.Handler) error {
	socket, err := s.env.ListenPacket(s.env.Name, s.config.UDP)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "udp: %w", err)
	}
	var deciding sync.WaitGroup
	defer deciding.Wait()
	defer context.AfterFunc(ctx, func() { socket.Close() })()
	defer socket.Close()
	s.env.Bound("sources."+s.env.Name, socket.LocalAddr().String())
	s.env.Status.OK()
	var room waiting
	buffer := make([]byte, maxDatagram)
	for {
		n, peer, err := socket.ReadFrom(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return penstock.Errorf(penstock.Unavailable, "udp: %w", err)
		}
		if !s.env.LetsIn(peer) {
			continue
		}
		bodies := s.bodies(buffer[:n], peer.String(), func() { s.reply(socket, peer, s.config.Answers.Damaged, nil) })
		if len(bodies) == 0 {
			continue
		}
		if !room.enter(n) {
			s.port.Count(evidence.Overrun)
			for _, body := range bodies {
				s.reply(socket, peer, s.config.Answers.Later, body)
			}
			continue
		}
		envelopes := make([]penstock.Envelope, len(bodies))
		for i, body := range bodies {
			envelopes[i] = s.envelope(body, peer.String(), s.env.Now())
		}
		ticket := next.Submit(ctx, envelopes)
		deciding.Go(func() {
			defer room.leave(n)
			outcomes, err := ticket.Wait(ctx)
			if err != nil {
				return // nothing is known, and nothing is said
			}
			for i, o := range outcomes {
				s.reply(socket, peer, s.judge(bodies[i], peer.String(), o), bodies[i])
			}
		})
	}
}

// bodies returns copies of the frames in a datagram. What is no frame is noted,
// and damaged is called for one whose checksum does not hold.
func (s *Source) bodies(datagram []byte, peer string, damaged func()) (all [][]byte) {
	if s.config.Framing == nil {
		s.port.Count(evidence.Received)
		return [][]byte{bytes.Clone(datagram)}
	}
	framer, err := framing.New(*s.config.Framing)
	if err != nil {
		return nil // it was validated
	}
	take := func(f framing.Frame) {
		if f.Event == evidence.Received {
			s.port.Count(evidence.Received)
			all = append(all, bytes.Clone(f.Body))
			return
		}
		s.port.Bad(f.Event, f.Bytes, s.from(peer)+f.Why)
		if f.Event == evidence.Checksum {
			damaged()
		}
	}
	framer.Feed(datagram, take)
	framer.Idle(take)
	if framer.Pending() > 0 {
		s.port.Bad(evidence.Framing, datagram, s.from(peer)+"the datagram ends before its frame does")
	}
	return all
}

// reply sends an answer to whom a datagram came from. One that cannot be sent is
// as good as one that was lost.
func (s *Source) reply(socket net.PacketConn, peer net.Addr, a *Answer, body []byte) {
	if a == nil {
		return
	}
	if _, err := socket.WriteTo(a.make(body), peer); err != nil {
		s.env.Log.Debug("an answer could not be sent", "peer", peer.String(), "error", err)
	}
}
