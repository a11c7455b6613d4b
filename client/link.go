package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/client/carrier"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/seal"
	"github.com/penstock/penstock/link/session"
)

// linkRunner delivers over the link protocol.
type linkRunner struct {
	c      *Client
	stream bool
	key    carrier.Key

	mu     sync.Mutex // guards everything below
	sender *session.Sender
	buf    []byte // the report being sent
}

func newLinkRunner(c *Client) (*linkRunner, error) {
	l := &linkRunner{c: c, stream: c.gateway.Scheme == schemeTLS}
	if l.stream {
		return l, nil
	}
	var err error
	l.key, err = carrier.ParseKey(c.o.Key)
	return l, err
}

// largest is the payload of the largest frame.
func (l *linkRunner) largest() int {
	if l.stream {
		return link.MaxPayload
	}
	return carrier.LargestPayload(seal.MaxDatagram)
}

func (l *linkRunner) largestReport() int {
	if l.stream {
		return 0
	}
	return l.largest()
}

// nextBoot returns a number that none before was like, and writes it to the
// disk before it is used: a nonce must never come twice under one key.
func nextBoot(file string, now time.Time) (uint64, error) {
	last := uint64(0)
	text, err := os.ReadFile(file)
	if err == nil {
		last, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 53)
	}
	if err != nil && !os.IsNotExist(err) {
		return 0, penstock.Errorf(penstock.Corrupt, "%s cannot be read: without the last boot number a key must not be used again; make a new key, and then remove the file: %w", file, err)
	}
	boot := max(last+1, uint64(max(now.UnixMilli(), 1)))
	f, err := os.OpenFile(file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintln(f, boot)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err == nil {
		err = syncDir(filepath.Dir(file))
	}
	return boot, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// run keeps a session open until ctx ends.
func (l *linkRunner) run(ctx context.Context) {
	l.renew()
	for ctx.Err() == nil {
		err := l.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		l.c.state(false, err)
		l.mu.Lock()
		l.sender.Disconnected()
		pause := l.sender.Backoff()
		l.mu.Unlock()
		sleep(ctx, pause)
	}
}

// renew makes the sender of the oldest epoch in the outbox, where it has none
// yet. l.mu is held, or nobody else is there yet.
func (l *linkRunner) renew() (fresh bool) {
	epoch, first, next, _ := l.c.box.Bounds()
	if l.sender != nil && l.sender.Epoch() == epoch {
		l.sender.Offer(next - 1)
		return false
	}
	token := ""
	if l.stream { // elsewhere the key says who it is
		token = l.c.o.Token
	}
	l.sender = session.NewSender(session.SenderConfig{
		Controller: l.c.o.Controller, Token: token, Client: "penstock-client", Epoch: epoch, Largest: l.largest(), Stream: l.stream, Rand: l.random,
	}, next-1, first-1)
	return true
}

// random is for jitter only.
func (l *linkRunner) random() uint64 {
	n, err := l.c.o.random()
	if err != nil {
		return 0 // without jitter
	}
	return n
}

// connect makes one carrier and talks over it until it breaks.
func (l *linkRunner) connect(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var way carrier.Carrier
	var err error
	if l.stream {
		way, err = carrier.DialTLS(limited, l.c.gateway.Host, l.c.o.TLS)
	} else {
		way, err = l.dialUDP(limited)
	}
	if err != nil {
		return err
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer way.Close()
	lost := make(chan error, 1)
	reading.Go(func() { lost <- l.read(way) })
	l.mu.Lock()
	l.sender.Connected(l.c.o.Now())
	l.mu.Unlock()
	return l.talk(ctx, way, lost)
}

// dialUDP makes a socket. Each has a boot number of its own, since each counts its
// datagrams from 0.
func (l *linkRunner) dialUDP(ctx context.Context) (carrier.Carrier, error) {
	boot, err := nextBoot(filepath.Join(l.c.o.Dir, "boot"), l.c.o.Now())
	if err != nil {
		return nil, err
	}
	return carrier.DialUDP(ctx, l.c.gateway.Host, l.key, boot, 0)
}

// talk sends what the sender has to say.
func (l *linkRunner) talk(ctx context.Context, way carrier.Carrier, lost <-chan error) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		frames, next, over := l.output()
		if len(frames) > 0 {
			if err := way.Send(frames); err != nil {
				return err
			}
		}
		if over && l.stream {
			return penstock.Errorf(penstock.Unavailable, "the gateway was silent for too long")
		}
		if next.IsZero() {
			next = l.c.o.Now().Add(time.Hour)
		}
		timer.Reset(next.Sub(l.c.o.Now()))
		select {
		case <-timer.C:
		case <-l.c.wake:
		case err := <-lost:
			return err
		case <-ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			l.sender.Bye("stop")
			frames, _ := l.sender.Output(l.c.o.Now(), l.load)
			return way.Send(frames)
		}
	}
}

func (l *linkRunner) output() (frames []byte, next time.Time, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.c.o.Now()
	if l.renew() {
		l.sender.Connected(now) // the same carrier, another epoch
	}
	frames, lost = l.sender.Output(now, l.load)
	return frames, l.sender.Next(), lost
}

// load gives the sender a report. l.mu is held.
func (l *linkRunner) load(seq uint64, hollow bool) []byte {
	if !hollow {
		var ok bool
		if l.buf, ok = l.c.box.Read(l.sender.Epoch(), seq, l.buf[:0]); ok {
			return l.buf
		}
	}
	l.buf = link.AppendReport(l.buf[:0], &penstock.Report{
		Controller: l.c.o.Controller, Identity: penstock.SequenceIdentity(l.sender.Epoch(), seq),
	})
	return l.buf
}

// read takes the gateway's frames until the carrier ends.
func (l *linkRunner) read(way carrier.Carrier) error {
	for {
		f, err := way.Receive()
		if err != nil {
			return err
		}
		if err := l.take(f); err != nil {
			return err
		}
		select {
		case l.c.wake <- struct{}{}:
		default: // it was told already
		}
	}
}

// take gives a frame to the sender. An error ends a stream.
func (l *linkRunner) take(f link.Frame) error {
	l.mu.Lock()
	epoch := l.sender.Epoch()
	e, err := l.sender.Receive(l.c.o.Now(), f)
	accepted, committed := penstock.Mark{Epoch: epoch, Seq: l.sender.Accepted()}, penstock.Mark{Epoch: epoch, Seq: l.sender.Committed()}
	l.mu.Unlock()
	if err != nil {
		l.c.o.Log.Warn("a frame of the gateway makes no sense", "error", err)
		return nil
	}
	switch {
	case e.Behind != 0:
		return l.behind(epoch, e.Behind)
	case e.Refusal != nil && e.Refusal.Session:
		err := penstock.Errorf(penstock.Unavailable, "the gateway refused the session (%s): %s", e.Refusal.Reason, e.Refusal.Text)
		l.c.state(false, err)
		if l.stream {
			return err
		}
	case e.Refusal != nil && e.Refusal.Verdict == link.Settled:
		l.c.refuse(penstock.SequenceIdentity(e.Refusal.Epoch, e.Refusal.Seq), penstock.Reason(e.Refusal.Reason), e.Refusal.Text)
	case e.Welcome != nil:
		l.c.state(true, nil)
	case e.Lost && l.stream:
		return penstock.Errorf(penstock.Unavailable, "the gateway ended the session")
	}
	l.c.progress(accepted, committed)
	return nil
}

// behind says that the gateway has numbers that this outbox never gave out.
func (l *linkRunner) behind(epoch, top uint64) error {
	err := penstock.Errorf(penstock.Conflict, "the gateway has reports up to %d/%d, which this outbox never made: it is an old copy, or another client uses the name %s", epoch, top, l.c.o.Controller)
	if renewed := l.c.box.Renumber(epoch); renewed != nil {
		return renewed
	}
	return err
}
