package linkgate

import (
	"bytes"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/session"
)

// desk is what all sessions of a source share.
type desk struct {
	env    source.Env
	config Config
	port   *evidence.Page
}

// caller is what the carrier knows of who speaks.
type caller struct {
	peer       string
	credential penstock.Credential
	principal  *penstock.Principal // of a key, or of the configuration of a line; nil where a credential is shown
	lastBoot   uint64              // of a sealed carrier
}

// member is one session with what the gateway knows of its controller.
type member struct {
	*session.Receiver
	from   caller
	page   *evidence.Page // of the controller, nil before it is known
	newest uint64         // highest seq that came
	behind bool           // the record may not have all that was accepted
	met    bool           // the record was asked about the controller, where it is to be
}

// acquaint tells whether the controller may be told its marks, as [source.Newcomers]
// do.
type acquaint func(controller string, epoch uint64) error

// acquainted is the acquaint of carriers that one goroutine serves.
func (d *desk) acquainted(controller string, epoch uint64) error {
	if d.env.Newcomers == nil {
		return nil
	}
	return d.env.Newcomers.Meet(controller, epoch)
}

// knows tells whether the reports of a session that began without a hello may be
// taken, and refuses them for now where the record was not asked about the controller.
func (d *desk) knows(m *member, b *session.Batch) bool {
	if !m.met {
		if err := d.acquainted(m.Controller(), b.Epoch); err != nil {
			m.Judged(*b, nil, err)
			return false
		}
		m.met = true
	}
	return true
}

// judge answers a hello, and tells whether it was a good one. After another the
// session is over.
func (d *desk) judge(m *member, h *link.Hello, met acquaint) bool {
	from := m.from
	if h.Token != "" {
		from.credential.Token, from.principal = h.Token, nil
	}
	principal, err := from.principal, error(nil)
	if principal == nil {
		principal, err = d.env.Auth.Authenticate(from.credential)
	}
	if err == nil && !principal.Scope.Covers(h.Controller) {
		err = penstock.Errorf(penstock.Forbidden, "the credential %s does not cover the controller %s", principal.Credential, h.Controller)
	}
	if err != nil {
		d.port.Count(evidence.Refused)
		m.Deny(err)
		return false
	}
	if err := met(h.Controller, h.Epoch); err != nil {
		m.Deny(err)
		return false
	}
	m.from, m.newest, m.met = from, 0, true
	d.meet(m, h.Controller)
	marks := d.env.Marks.Marks(h.Controller, h.Epoch)
	m.behind = marks.Committed < marks.Accepted
	m.Admit(d.env.Now(), h, session.Standing{
		LastEpoch: marks.LastEpoch, LastBoot: from.lastBoot, Accepted: marks.Accepted, Committed: marks.Committed,
	})
	return true
}

// question has a session of its own answer a controller that has lost its boot number,
// and tells whether there is an answer.
func (d *desk) question(m *member, f link.Frame) bool {
	e := m.Receive(d.env.Now(), f)
	switch {
	case e.Do == session.Authenticate && e.Hello.Epoch == 0:
		d.judge(m, &e.Hello, d.acquainted)
		return true
	case f.Kind == link.KindTimeRequest && e.Err == nil:
		return true
	}
	d.port.Bad(evidence.Malformed, f.Payload, m.from.peer+": a question holds nothing but a hello of epoch 0 or a time request")
	return false
}

// meet notes that a session with the controller began.
func (d *desk) meet(m *member, controller string) {
	m.page = d.env.Evidence.Controller(controller)
	m.page.Peer(m.from.peer)
	m.page.Count(evidence.Connected)
	d.port.Count(evidence.Connected)
}

// part notes that a session ended.
func (d *desk) part(m *member) {
	if m.page != nil {
		m.page.Count(evidence.Lost)
		d.port.Count(evidence.Lost)
	}
}

// receive gives a frame to its session. A heartbeat asks how far the reports are:
// its answer has the marks of now.
func (d *desk) receive(m *member, f link.Frame) session.Effect {
	if f.Kind == link.KindHeartbeat {
		m.behind = true
		d.advance(m)
		d.wonder(m)
	}
	e := m.Receive(d.env.Now(), f)
	d.note(m, f, &e)
	return e
}

// wonder has the record asked about a controller that waits for the mark of what it has
// sent: it may be missing what went through another node.
func (d *desk) wonder(m *member) {
	if d.env.Newcomers == nil || !m.Open() {
		return
	}
	if epoch := m.Epoch(); d.env.Marks.Marks(m.Controller(), epoch).Committed < m.newest {
		_ = d.env.Newcomers.Meet(m.Controller(), epoch) // the next heartbeat has the answer
	}
}

// note keeps what a frame says of the link.
func (d *desk) note(m *member, f link.Frame, e *session.Effect) {
	if e.Err != nil {
		d.port.Bad(evidence.Malformed, f.Payload, e.Err.Error())
		return
	}
	d.port.Count(evidence.Received)
	if m.page == nil {
		return
	}
	m.page.Count(evidence.Received)
	for _, s := range e.Signals {
		if q, ok := quantities(s.Kind); ok {
			m.page.Signal(q, float64(s.Tenths)/10)
		}
	}
}

// quantities maps the signals of the protocol to those of the evidence.
func quantities(k link.SignalKind) (evidence.Quantity, bool) {
	switch k {
	case link.SignalRSSI:
		return evidence.RSSI, true
	case link.SignalSNR:
		return evidence.SNR, true
	case link.SignalOptical:
		return evidence.OpticalPower, true
	case link.SignalAttenuation:
		return evidence.Attenuation, true
	case link.SignalRSRP, link.SignalRSRQ: // of no use without the other figures of the cell
	}
	return "", false
}

// envelope makes an envelope of a batch, and takes the batch's body out of the
// carrier's buffer.
func (d *desk) envelope(m *member, b *session.Batch) penstock.Envelope {
	if m.page == nil { // a sealed session without hello
		d.meet(m, m.Controller())
	}
	b.Body = bytes.Clone(b.Body)
	d.follow(m, b)
	return penstock.Envelope{
		Source: d.env.Name, Peer: m.from.peer, Credential: m.from.credential, Principal: m.from.principal,
		ContentType: link.MediaType, Body: b.Body, ReceivedTime: d.env.Now().UnixNano(),
	}
}

// follow counts the numbers that are missing before those of a batch.
func (d *desk) follow(m *member, b *session.Batch) {
	for rest := b.Body; len(rest) > 0; {
		h, err := link.ReadHead(rest)
		if err != nil {
			return
		}
		if seq := h.Identity.Seq; m.newest != 0 && seq > m.newest+1 {
			m.page.Add(evidence.Gap, seq-m.newest-1)
			d.port.Add(evidence.Gap, seq-m.newest-1)
		}
		m.newest = max(m.newest, h.Identity.Seq)
		rest = rest[h.Size:]
	}
}

// settle tells a session what became of its batch.
func (d *desk) settle(m *member, b session.Batch, o penstock.Outcome) session.Effect {
	m.behind = m.behind || len(o.Verdicts) > 0
	for i := range o.Verdicts {
		switch o.Verdicts[i].Result {
		case penstock.Accepted:
		case penstock.Duplicate:
			m.page.Count(evidence.Resent)
			d.port.Count(evidence.Resent)
		case penstock.Rejected:
			d.port.Count(evidence.Refused) // on the controller the pipeline counts it
		}
	}
	if o.Err != nil {
		d.port.Count(evidence.Refused)
	}
	return m.Judged(b, o.Verdicts, o.Err)
}

// advance tells a session how far the record is.
func (d *desk) advance(m *member) {
	if !m.behind || !m.Open() {
		return
	}
	epoch := m.Epoch()
	marks := d.env.Marks.Marks(m.Controller(), epoch)
	m.behind = marks.Committed < marks.Accepted
	m.Receiver.Committed(penstock.Mark{Epoch: epoch, Seq: marks.Committed})
}

// eventOf says as what a frame that cannot be read is counted.
func eventOf(err error) evidence.Event {
	switch link.FaultOf(err) {
	case link.FaultHeader, link.FaultChecksum, link.FaultVariant, link.FaultSeal:
		return evidence.Checksum
	case link.FaultCOBS:
		return evidence.Framing
	case link.FaultReplay:
		return evidence.Late
	case "":
		if penstock.CodeOf(err) == penstock.Unauthenticated {
			return evidence.Refused
		}
	case link.FaultVersion, link.FaultLength, link.FaultFeature, link.FaultKind, link.FaultPayload:
	}
	return evidence.Malformed
}
