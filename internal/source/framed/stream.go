package framed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/framing"
	"github.com/penstock/penstock/internal/source"
)

// duplex is a line or a connection.
type duplex interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

const (
	readSize     = 4 << 10
	writeTimeout = 10 * time.Second
	// maxNoise is how many bytes without a frame end a connection: who sends more
	// is no device of ours. A serial line has nobody to hang up on.
	maxNoise   = 64 << 10
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// stream is one line or connection at work.
type stream struct {
	*Source
	conn     duplex
	place    *place
	peer     string
	next     penstock.Handler
	framer   *framing.Framer
	frames   []framing.Frame // found in the bytes of one read
	received time.Time       // when the last of them came
	noise    int             // bytes since the last good frame
}

// stream reads frames until the connection ends, and returns why it did; nil when
// ctx ended.
func (s *Source) stream(ctx context.Context, conn duplex, at *place, next penstock.Handler) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	framer, err := framing.New(*s.config.Framing)
	if err != nil {
		return err
	}
	st := &stream{Source: s, conn: conn, place: at, peer: at.peer, next: next, framer: framer}
	if err := st.run(ctx); !ended(ctx, err) && ctx.Err() == nil {
		return err
	}
	return nil
}

func (st *stream) run(ctx context.Context) error {
	buffer := make([]byte, readSize)
	heard := st.env.Now()
	for {
		wait := st.config.Gap
		if st.framer.Pending() == 0 {
			wait = st.config.Silence
		}
		if err := st.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		n, err := st.conn.Read(buffer)
		st.received = st.env.Now()
		if n > 0 {
			heard = st.received
			st.framer.Feed(buffer[:n], st.keep)
		}
		paused := errors.Is(err, os.ErrDeadlineExceeded)
		if paused {
			st.framer.Idle(st.keep)
		}
		if err := st.submit(ctx); err != nil {
			return err
		}
		if st.isSerial() {
			if err != nil && !paused {
				return err
			}
			continue
		}
		switch {
		case st.noise > maxNoise:
			return penstock.Errorf(penstock.Invalid, "%d bytes came without a frame among them: is it another protocol?", st.noise)
		case paused && st.received.Sub(heard) >= st.config.Silence:
			return penstock.Errorf(penstock.Unavailable, "nothing came for %s", st.config.Silence)
		case err != nil && !paused:
			return err
		}
	}
}

func (st *stream) isSerial() bool { return st.config.Serial != nil }

// keep keeps a frame until the bytes of one read are through.
func (st *stream) keep(f framing.Frame) {
	if f.Event != evidence.Received {
		st.noise += f.Size
		st.port.Bad(f.Event, f.Bytes, st.from(st.peer)+f.Why)
		if f.Event == evidence.Checksum {
			st.frames = append(st.frames, framing.Frame{Event: f.Event})
		}
		return
	}
	st.noise = 0
	st.port.Count(evidence.Received)
	st.frames = append(st.frames, framing.Frame{Body: bytes.Clone(f.Body), Event: f.Event})
}

// submit hands over the frames, waits until they are decided, and answers each in
// its turn. Without a word for "later" on a stream without answers it tries again
// itself.
func (st *stream) submit(ctx context.Context) error {
	frames := st.frames
	st.frames = st.frames[:0]
	if slices.ContainsFunc(frames, func(f framing.Frame) bool { return f.Event == evidence.Received }) {
		st.place.begin(st.received)
		defer func() { st.place.end(st.env.Now()) }()
	}
	for retry := firstRetry; len(frames) > 0; retry = min(2*retry, lastRetry) {
		outcomes, err := st.decide(ctx, frames)
		if err != nil {
			return err
		}
		again, wait, err := st.answer(frames, outcomes)
		if err != nil {
			return err
		}
		if frames = again; len(frames) > 0 {
			if err := source.Pause(ctx, max(wait, retry)); err != nil {
				return err
			}
		}
	}
	return nil
}

// decide returns an outcome for each good frame.
func (s *stream) decide(ctx context.Context, frames []framing.Frame) ([]penstock.Outcome, error) {
	var envelopes []penstock.Envelope
	for _, f := range frames {
		if f.Event == evidence.Received {
			envelopes = append(envelopes, s.envelope(f.Body, s.peer, s.received))
		}
	}
	if len(envelopes) == 0 {
		return nil, nil
	}
	return s.next.Submit(ctx, envelopes).Wait(ctx)
}

// answer tells the device what became of each frame. It returns those that must
// be tried again here, and how long to wait before.
func (st *stream) answer(frames []framing.Frame, outcomes []penstock.Outcome) (again []framing.Frame, wait time.Duration, err error) {
	for _, f := range frames {
		reply := st.config.Answers.Damaged
		if f.Event == evidence.Received {
			if len(outcomes) == 0 {
				return nil, 0, penstock.Errorf(penstock.Internal, "fewer outcomes came than frames were submitted")
			}
			o := outcomes[0]
			outcomes = outcomes[1:]
			if penstock.CodeOf(o.Err).Temporary() && st.config.Answers.Accepted == nil {
				again, wait = append(again, f), max(wait, penstock.RetryAfterOf(o.Err))
				continue
			}
			reply = st.judge(f.Body, st.peer, o)
		}
		if err := st.send(reply, f.Body); err != nil {
			return nil, 0, err
		}
	}
	return again, wait, nil
}

func (st *stream) send(reply *Answer, body []byte) error {
	if reply == nil {
		return nil
	}
	if err := st.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := st.conn.Write(reply.make(body))
	return err
}

// from begins a sentence of the evidence with the sender, where a port has
// several of them.
func (s *Source) from(peer string) string {
	if s.config.Listen == "" && s.config.UDP == "" {
		return ""
	}
	return peer + ": "
}

// envelope returns the envelope of a frame.
func (s *Source) envelope(body []byte, peer string, received time.Time) penstock.Envelope {
	return penstock.Envelope{
		Source: s.env.Name, Peer: peer, ContentType: s.config.Mapping, Body: body, ReceivedTime: received.UnixNano(), Principal: s.principal,
	}
}

// judge notes what became of a frame and returns what the device is told.
func (s *Source) judge(body []byte, peer string, o penstock.Outcome) *Answer {
	if o.Err != nil {
		if penstock.CodeOf(o.Err).Temporary() {
			s.port.Count(evidence.Refused)
			return s.config.Answers.Later
		}
		s.port.Bad(evidence.Malformed, body, s.from(peer)+o.Err.Error())
		return s.config.Answers.Refused
	}
	reply := s.config.Answers.Accepted
	for _, v := range o.Verdicts {
		if v.Result == penstock.Rejected {
			s.port.Bad(evidence.Refused, body, fmt.Sprintf("%s%s: %s", s.from(peer), v.Reason, v.Detail))
			reply = s.config.Answers.Refused
			continue
		}
		page := s.env.Evidence.Controller(v.Controller)
		page.Count(evidence.Received)
		page.Peer(peer)
		if v.Result == penstock.Duplicate {
			page.Count(evidence.Resent)
		}
	}
	return reply
}
