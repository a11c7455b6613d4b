package mqtt

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/log"

	"github.com/penstock/penstock"
)

// pings asks the broker whether it is there. A broker reads what comes over a connection
// in order: when it answers a ping, it has read what was sent before, which it does not
// acknowledge with QoS 0. It implements the Pinger of the library.
type pings struct {
	mu       sync.Mutex // guards what follows; a ping is sent under it, so that they are counted in order
	sent     uint64
	answered uint64
	last     time.Time     // when something was sent
	changed  chan struct{} // closed when a ping is answered
}

func newPings() *pings { return &pings{changed: make(chan struct{})} }

// send sends a ping, and returns its number.
func (p *pings) send(conn net.Conn) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	p.last = time.Now()
	_, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(conn)
	return p.sent, err
}

// fence returns when the broker has read all that was sent before.
func (p *pings) fence(ctx context.Context, o *session) error {
	number, err := p.send(o.conn)
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "the connection to the broker %s broke: %w", o.server.Address, err)
	}
	for {
		p.mu.Lock()
		done, changed := p.answered >= number, p.changed
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-o.client.Done():
			return o.broke(ctx)
		case <-ctx.Done():
			return penstock.Errorf(penstock.Unavailable, "the broker %s has not read the messages in time: %w", o.server.Address, ctx.Err())
		}
	}
}

// Run pings while nothing is sent, and returns an error when a ping is not answered.
func (p *pings) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	every := time.Duration(keepAlive) * time.Second
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	var before uint64 // the last ping at the look before
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p.mu.Lock()
		silent, unanswered := time.Since(p.last) >= every/2, p.answered < before
		before = p.sent
		p.mu.Unlock()
		if unanswered {
			return penstock.Errorf(penstock.Unavailable, "it does not answer")
		}
		if !silent {
			continue
		}
		if _, err := p.send(conn); err != nil {
			return err
		}
	}
}

// PacketSent notes that something was sent.
func (p *pings) PacketSent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

// PacketReceived does nothing: only the answer to a ping counts.
func (p *pings) PacketReceived() {}

// PingResp notes that a ping was answered.
func (p *pings) PingResp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered++
	close(p.changed)
	p.changed = make(chan struct{})
}

// SetDebug does nothing.
func (p *pings) SetDebug(log.Logger) {}
