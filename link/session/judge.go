package session

import (
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// data takes the reports of a data frame, as far as their heads go.
func (r *Receiver) data(payload []byte) Effect {
	if r.stage != open && !(r.stage == fresh && r.config.Implicit) {
		return r.stranger()
	}
	b := Batch{Body: payload, session: r.session}
	for rest := payload; len(rest) > 0; b.Reports++ {
		h, err := link.ReadHead(rest)
		if err == nil {
			err = r.check(&b, h)
		}
		if err != nil {
			return r.broken(err)
		}
		if string(h.Controller) != r.controller {
			r.refuse("controller", 0, "the session is that of "+r.controller+": the reports of another controller need a session of their own, with another address")
			return Effect{Do: Finish}
		}
		rest = rest[h.Size:]
	}
	if b.Reports == 0 {
		return r.broken(link.FaultPayload.Errorf("a data frame has at least one report"))
	}
	if r.underWay > 0 && r.underWay+b.Cost() > r.config.Window {
		r.refuseAll(&b, link.Refusal{
			Verdict: link.Later, Reason: string(penstock.ReasonLimited), Retry: time.Second,
			Text: "more is under way than the window allows",
		})
		return Effect{}
	}
	r.underWay += b.Cost()
	if b.Epoch != r.settled.epoch {
		r.settled = settled{epoch: b.Epoch, runs: r.settled.runs[:0]}
	}
	return Effect{Do: Submit, Batch: b}
}

// check looks at the head of the next report of a batch, and opens a session that
// needs no hello.
func (r *Receiver) check(b *Batch, h link.Head) error {
	if h.Identity.Form != penstock.Sequence {
		return link.FaultPayload.Errorf("a report on a link needs epoch and seq for its identity")
	}
	if b.Reports == 0 {
		b.Epoch = h.Identity.Epoch
	}
	if b.Epoch != h.Identity.Epoch {
		return link.FaultPayload.Errorf("a data frame has reports of one epoch, this one of %d and %d", b.Epoch, h.Identity.Epoch)
	}
	if b.Reports >= link.MaxReports {
		return link.FaultPayload.Errorf("a data frame has at most %d reports", link.MaxReports)
	}
	if r.stage == fresh {
		name := string(h.Controller)
		if err := penstock.CheckControllerName(name); err != nil {
			return link.FaultPayload.Errorf("%v", err)
		}
		r.controller, r.stage = name, open
		r.session++
		b.session = r.session
	}
	return nil
}

// Judged takes what became of a batch: the verdicts on its reports, in their order,
// or the error for which none could be judged. The batch's body has to hold what
// was in it still. Refusals and an ack are in the next [Receiver.Output]. An error
// that says that the sender itself is not let in any more ends the session: the
// effect is Finish then.
func (r *Receiver) Judged(b Batch, verdicts []penstock.Verdict, err error) Effect {
	r.underWay -= b.Cost()
	if b.session != r.session || r.stage == over {
		return Effect{}
	}
	if err == nil && len(verdicts) != b.Reports {
		err = penstock.Errorf(penstock.Internal, "%d reports have %d verdicts", b.Reports, len(verdicts))
	}
	if err != nil {
		return r.failed(&b, err)
	}
	s := &r.settled
	if b.Epoch != s.epoch { // what is left of an epoch before
		s = &settled{epoch: b.Epoch}
	}
	rest := b.Body
	for i := range verdicts {
		h, err := link.ReadHead(rest)
		if err != nil {
			return r.failed(&b, penstock.Errorf(penstock.Internal, "the batch was changed: %w", err))
		}
		rest = rest[h.Size:]
		r.verdict(s, h.Identity.Seq, &verdicts[i])
	}
	if s == &r.settled {
		r.ackDue = true
		return Effect{}
	}
	s.fill(&r.scratch.ack)
	r.appendAck()
	return Effect{}
}

// verdict notes the verdict on one report, and refuses it where it says so.
func (r *Receiver) verdict(s *settled, seq uint64, v *penstock.Verdict) {
	if v.Accepted.Epoch == s.epoch {
		s.raise(v.Accepted.Seq, 0)
	}
	if v.Committed.Epoch == s.epoch {
		s.raise(0, v.Committed.Seq)
	}
	if v.Result != penstock.Rejected {
		s.add(seq)
		return
	}
	m := link.Refusal{Epoch: s.epoch, Seq: seq, Verdict: disposition(v.Reason), Reason: string(v.Reason), Text: v.Detail}
	if m.Verdict == link.Settled {
		s.add(seq)
	}
	r.out = m.Append(r.out, r.header())
}

// disposition returns what a controller does with a report that was refused for
// this reason.
func disposition(reason penstock.Reason) link.Disposition {
	switch reason {
	case penstock.ReasonType, penstock.ReasonRange, penstock.ReasonUnit, penstock.ReasonTime, penstock.ReasonStatus,
		penstock.ReasonScript, penstock.ReasonConflict, penstock.ReasonRefused:
		return link.Settled
	case penstock.ReasonMalformed, penstock.ReasonTooLarge, penstock.ReasonName, penstock.ReasonIdentity, penstock.ReasonChecksum:
		return link.Hollow
	}
	return link.Later
}

// failed answers a batch of which no report could be judged.
func (r *Receiver) failed(b *Batch, err error) Effect {
	m := link.Refusal{Verdict: link.Later, Retry: penstock.RetryAfterOf(err), Text: err.Error()}
	switch code := penstock.CodeOf(err); code {
	case penstock.Unauthenticated, penstock.Forbidden, penstock.Closed:
		r.refuse(code.String(), m.Retry, m.Text)
		return Effect{Do: Finish, Err: err}
	case penstock.Invalid, penstock.TooLarge, penstock.Corrupt, penstock.Unsupported:
		m.Verdict, m.Reason = link.Hollow, string(penstock.ReasonMalformed)
		if code == penstock.TooLarge {
			m.Reason = string(penstock.ReasonTooLarge)
		}
	case penstock.Limited, penstock.Unavailable, penstock.Full:
		m.Reason = code.String()
	default:
		m.Reason = penstock.Internal.String()
	}
	r.refuseAll(b, m)
	return Effect{Err: err}
}

// refuseAll refuses each report of a batch.
func (r *Receiver) refuseAll(b *Batch, m link.Refusal) {
	m.Epoch = b.Epoch
	for rest := b.Body; len(rest) > 0; {
		h, err := link.ReadHead(rest)
		if err != nil {
			return
		}
		m.Seq, rest = h.Identity.Seq, rest[h.Size:]
		r.out = m.Append(r.out, r.header())
	}
}

// Committed takes the committed mark of an epoch when it moved. An ack that says so
// is in the next [Receiver.Output].
func (r *Receiver) Committed(m penstock.Mark) {
	if m.Epoch == r.settled.epoch && r.settled.raise(0, m.Seq) {
		r.ackDue = true
	}
}
