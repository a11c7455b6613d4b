package mqttbroker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/reason"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// The bounds of the pause before what was refused for now is submitted again.
const (
	shortestPause = 50 * time.Millisecond
	longestPause  = 5 * time.Second
)

// settleAll completes the batches in their order until there are no more. It goes
// on when the connection has ended: what was accepted is still to be sent to the
// subscribers.
func (in *inbound) settleAll(ctx context.Context) error {
	for {
		b := in.oldest()
		if b == nil {
			return nil
		}
		if err := in.c.contained(func() error { return in.settle(ctx, b) }); err != nil {
			in.c.endWith(err)
		}
	}
}

// oldest waits for the next batch and takes it, nil when there will be none.
func (in *inbound) oldest() *batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.queue) == 0 {
		if in.closed {
			return nil
		}
		in.moved.Wait()
	}
	b := in.queue[0]
	in.queue[0] = nil
	if in.queue = in.queue[1:]; len(in.queue) == 0 {
		in.queue = nil
	}
	return b
}

// settle waits until the batch is decided about and acknowledges it.
func (in *inbound) settle(ctx context.Context, b *batch) error {
	defer in.give(b)
	var outcomes []penstock.Outcome
	if b.ticket != nil {
		var err error
		if outcomes, err = in.decide(ctx, b); err != nil {
			return err
		}
	}
	acks := make([]byte, 0, 8*len(b.items))
	received := 0
	for i := range b.items {
		it := &b.items[i]
		v := reason.Verdict{}
		switch {
		case it.again:
			if !in.c.session.has(it.id) {
				continue // the first was not decided about: the client sends both again
			}
		case it.refused != nil:
			v = reason.Verdict{Code: it.refused.Code, Text: it.refused.Text, Final: true}
		case it.envelope >= 0:
			v = reason.Of(&outcomes[it.envelope])
		}
		if v.Revoked {
			if err := in.c.write(acks); err != nil {
				return err
			}
			return endRevoked
		}
		if !v.Final && v.Code != wire.Success {
			in.c.count(evidence.Refused) // QoS 0: nobody sends it again
			continue
		}
		received++
		acks = in.complete(acks, it, v)
	}
	in.c.port.Add(evidence.Received, uint64(received))
	if in.c.page != nil {
		in.c.page.Add(evidence.Received, uint64(received))
	}
	if len(acks) == 0 {
		return nil
	}
	return in.c.write(acks)
}

// complete gives an accepted publish to the subscribers, notes a refused one, and
// appends the acknowledgement.
func (in *inbound) complete(acks []byte, it *item, v reason.Verdict) []byte {
	c := in.c
	if v.Code.Failed() {
		c.note(evidence.Refused, payload(it), fmt.Sprintf("topic %.64q: %s", it.topic, v.Text))
	} else if it.message != nil {
		c.distribute(it.message)
	}
	a := wire.Ack{ID: it.id, Code: v.Code, Reason: in.sentence(v.Text)}
	switch it.qos {
	case 0:
		return acks
	case 1:
		a.Type = wire.PUBACK
	case 2:
		a.Type = wire.PUBREC
		if c.version != wire.V5 || !v.Code.Failed() {
			c.session.receive(it.id)
		}
	}
	return wire.AppendAck(acks, c.version, a)
}

// maxReason bounds a sentence for the client.
const maxReason = 512

// sentence returns what a client is told beside a code: nothing when it does not
// want to be told, or takes small packets only.
func (in *inbound) sentence(text string) string {
	p := in.c.connect.Properties
	if n := p.Number(wire.MaximumPacket); p.Has(wire.RequestProblem) && p.Number(wire.RequestProblem) == 0 || n > 0 && n < 2*maxReason {
		return ""
	}
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}

func payload(it *item) []byte {
	if it.message == nil {
		return nil
	}
	return it.message.Payload
}

// decide returns the outcomes of a batch. What was refused for now is submitted
// again for as long as that may take; meanwhile its acknowledgement, and with it
// every later one, is withheld.
func (in *inbound) decide(ctx context.Context, b *batch) ([]penstock.Outcome, error) {
	outcomes, err := b.ticket.Wait(ctx)
	if err != nil {
		return nil, undecided(err)
	}
	began := time.Now()
	for {
		again, after := in.refusedForNow(b, outcomes)
		if len(again) == 0 {
			return outcomes, nil
		}
		after = min(max(after, shortestPause), longestPause)
		if time.Since(began)+after > in.c.config.Retry.Std() {
			return nil, endBusy
		}
		if err := in.c.pause(after); err != nil {
			return nil, err
		}
		envelopes := make([]penstock.Envelope, len(again))
		for i, at := range again {
			envelopes[i] = b.envelopes[at]
			envelopes[i].Principal = nil
		}
		fresh, err := in.c.next.Submit(ctx, envelopes).Wait(ctx)
		if err != nil {
			return nil, undecided(err)
		}
		for i, at := range again {
			outcomes[at] = fresh[i]
		}
	}
}

func undecided(err error) error {
	return &ending{wire.ShuttingDown, fmt.Sprintf("what was published was not decided about: %v", err), evidence.Lost}
}

// refusedForNow returns the envelopes to submit again, and when. A publish of QoS
// 0 is best effort: it is counted as refused and forgotten.
func (in *inbound) refusedForNow(b *batch, outcomes []penstock.Outcome) (again []int, after time.Duration) {
	for i := range b.items {
		it := &b.items[i]
		if it.envelope < 0 {
			continue
		}
		err := outcomes[it.envelope].Err
		if !reason.Again(err) {
			continue
		}
		if it.qos > 0 {
			again = append(again, it.envelope)
			after = max(after, penstock.RetryAfterOf(err))
		}
	}
	return again, after
}

// pause waits, but not for a client that has gone.
func (c *conn) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.done:
		return c.why
	}
}
