package linkgate

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/cobs"
)

// writeGrace is what a driver may take beside the time of the bytes.
const writeGrace = 10 * time.Second

// leastAnswer is what a session may answer at once in any case.
const leastAnswer = 1 << 10

// maxTurnFrame is what a turn takes on the line.
const maxTurnFrame = link.FrameOverhead + 10 + 2

// speak writes answers and turns until ctx ends or the line fails.
func (l *line) speak(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var buf []byte
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-timer.C:
		}
		var wait time.Duration
		buf, wait = l.words(buf[:0])
		timer.Reset(wait)
		if len(buf) == 0 {
			continue
		}
		if err := l.wire.SetWriteDeadline(time.Now().Add(l.config.Serial.Duration(len(buf)) + writeGrace)); err != nil {
			return err
		}
		if _, err := l.wire.Write(buf); err != nil {
			return err
		}
	}
}

// words appends what may go on the line now, and returns how long nothing else may,
// unless something comes. While a controller has its turn nothing goes.
func (l *line) words(buf []byte) ([]byte, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.env.Now()
	if l.asked != nil && now.Before(l.rota.Next()) {
		return buf, l.rota.Next().Sub(now)
	}
	for _, st := range l.stations {
		l.advance(st.member)
		if st.Open() && st.Expired(now) {
			l.renew(st)
		}
		l.say(st)
	}
	wait := commitTime
	if l.rota != nil {
		l.turn(now)
		wait = min(wait, l.rota.Next().Sub(now))
	}
	if len(l.out) > 0 {
		buf = append(append(buf, 0), l.out...) // the zero ends what noise has begun
		l.quiet = l.spoken(now, len(buf))
		l.out = l.out[:0]
	}
	return buf, wait
}

// say appends what a session has to say, as it goes over the line. It is bounded as
// a turn is: refusals beyond that are left out, and the ack at the end is kept.
func (l *line) say(st *station) {
	for frames := fit(st.Output(), max(int(l.config.Turn), leastAnswer)); len(frames) > 0; {
		size, err := link.FrameSize(frames, link.MaxPayload)
		if err != nil || size == 0 {
			return // never: they are ours
		}
		l.put(st, frames[:size])
		frames = frames[size:]
	}
}

// spoken returns when n more bytes are through.
func (l *line) spoken(now time.Time, n int) time.Time {
	if l.quiet.After(now) {
		now = l.quiet
	}
	return now.Add(l.config.Serial.Duration(n))
}

// turn gives the turn to whoever is due. His time begins when he has heard of it.
func (l *line) turn(now time.Time) {
	if now.Before(l.rota.Next()) {
		return
	}
	last := l.asked
	l.asked = nil
	address, ok := l.rota.Turn(l.spoken(now, 1+len(l.out)+maxTurnFrame))
	if last != nil {
		l.unanswered(last)
	}
	if !ok {
		return
	}
	l.asked = l.station(address)
	m := link.Turn{Budget: uint64(l.config.Turn)}
	l.out = cobs.Append(l.out, m.Append(nil, link.Header{Address: address}))
}

// unanswered notes a turn that was not ended in its time.
func (l *line) unanswered(st *station) {
	l.port.Count(evidence.Timeout)
	st.line.Count(evidence.Timeout)
	if st.silent || !l.rota.Silent(st.Address) {
		return
	}
	st.silent = true
	l.env.Log.Warn("a controller does not answer its turns: it is asked more seldom", "controller", st.Name, "address", st.Address)
}
