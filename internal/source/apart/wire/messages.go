package wire

import (
	"crypto/x509"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// Outbox writes the envelopes of one source. Principals that come again and again
// cross once.
type Outbox struct{ last *penstock.Principal }

// How the principal of an envelope is written.
const (
	nobody uint64 = iota
	asBefore
	anew
)

// Envelopes writes envelopes, all but the name of the source.
func (b *Outbox) Envelopes(o *Out, es []penstock.Envelope) {
	o.Uint(uint64(len(es)))
	for k := range es {
		e := &es[k]
		o.Text(e.Peer)
		o.Credential(e.Credential)
		o.Text(e.ContentType)
		o.Text(e.Key)
		o.Uint(uint64(e.Checksum))
		o.Bool(e.HasChecksum)
		o.Text(e.Topic)
		o.properties(e.Properties)
		o.Int(e.ReceivedTime)
		switch {
		case e.Principal == nil:
			o.Uint(nobody)
		case e.Principal == b.last:
			o.Uint(asBefore)
		default:
			o.Uint(anew)
			o.Principal(e.Principal)
			b.last = e.Principal
		}
		o.Bytes(e.Body)
		o.Error(e.Refusal)
	}
}

// Inbox reads what an [Outbox] wrote, in the same order.
type Inbox struct {
	Source string // the name that all envelopes get
	last   *penstock.Principal
}

// Envelopes reads envelopes. Their bodies are parts of the body that is read.
func (b *Inbox) Envelopes(i *In) []penstock.Envelope {
	var es []penstock.Envelope
	for range i.Each() {
		es = append(es, b.envelope(i))
	}
	return es
}

func (b *Inbox) envelope(i *In) penstock.Envelope {
	e := penstock.Envelope{
		Source: b.Source, Peer: i.Text(), Credential: i.Credential(), ContentType: i.Text(), Key: i.Text(), Checksum: uint32(i.Uint()),
		HasChecksum: i.Bool(), Topic: i.Text(), Properties: i.properties(), ReceivedTime: i.Int(),
	}
	switch i.Uint() {
	case nobody:
	case asBefore:
		e.Principal = b.last
	case anew:
		b.last = i.Principal()
		e.Principal = b.last
	default:
		i.fail()
	}
	e.Body = i.Bytes()
	e.Refusal = i.Error()
	return e
}

func (o *Out) properties(p penstock.Properties) {
	o.Bool(p != nil)
	if p == nil {
		return
	}
	o.Uint(uint64(len(p)))
	for name, value := range p {
		o.Text(name)
		o.Text(value)
	}
}

func (i *In) properties() penstock.Properties {
	if !i.Bool() {
		return nil
	}
	p := penstock.Properties{}
	for range i.Each() {
		name := i.Text()
		p[name] = i.Text()
	}
	return p
}

// Credential writes what a sender shows.
func (o *Out) Credential(c penstock.Credential) {
	o.Text(c.Token)
	o.Text(c.User)
	o.Uint(uint64(len(c.Certificates)))
	for _, cert := range c.Certificates {
		o.Bytes(cert.Raw)
	}
}

// Credential reads what a sender shows.
func (i *In) Credential() penstock.Credential {
	c := penstock.Credential{Token: i.Text(), User: i.Text()}
	for range i.Each() {
		cert, err := x509.ParseCertificate(i.Bytes())
		if err != nil {
			i.fail()
			return c
		}
		c.Certificates = append(c.Certificates, cert)
	}
	return c
}

// Principal writes who somebody is.
func (o *Out) Principal(p *penstock.Principal) {
	o.Text(p.Credential)
	o.Text(string(p.Role))
	o.Texts(p.Scope)
}

// Principal reads who somebody is.
func (i *In) Principal() *penstock.Principal {
	return &penstock.Principal{Credential: i.Text(), Role: penstock.Role(i.Text()), Scope: i.Texts()}
}

// Error writes an error: its kind, its text, and when to try again.
func (o *Out) Error(err error) {
	o.Bool(err != nil)
	if err == nil {
		return
	}
	o.Uint(uint64(penstock.CodeOf(err)))
	o.Text(err.Error())
	o.Int(int64(penstock.RetryAfterOf(err)))
}

// Error reads an error, nil for none.
func (i *In) Error() error {
	if !i.Bool() {
		return nil
	}
	return &penstock.Error{Code: penstock.Code(i.Byte()), Text: i.Text(), RetryAfter: time.Duration(i.Int())}
}

// Outcomes writes what became of envelopes.
func (o *Out) Outcomes(list []penstock.Outcome) {
	o.Uint(uint64(len(list)))
	for k := range list {
		o.Error(list[k].Err)
		o.Uint(uint64(len(list[k].Verdicts)))
		for n := range list[k].Verdicts {
			o.verdict(&list[k].Verdicts[n])
		}
	}
}

// Outcomes reads what became of envelopes.
func (i *In) Outcomes() []penstock.Outcome {
	var list []penstock.Outcome
	for range i.Each() {
		o := penstock.Outcome{Err: i.Error()}
		for range i.Each() {
			o.Verdicts = append(o.Verdicts, i.verdict())
		}
		list = append(list, o)
	}
	return list
}

func (o *Out) verdict(v *penstock.Verdict) {
	o.Text(v.Controller)
	o.Uint(uint64(v.Identity.Form))
	o.Uint(v.Identity.Epoch)
	o.Uint(v.Identity.Seq)
	o.Text(v.Identity.Key)
	o.Uint(uint64(v.Result))
	o.Text(string(v.Reason))
	o.Text(v.Detail)
	for _, m := range []penstock.Mark{v.Committed, v.Accepted} {
		o.Uint(m.Epoch)
		o.Uint(m.Seq)
	}
}

func (i *In) verdict() penstock.Verdict {
	return penstock.Verdict{
		Controller: i.Text(),
		Identity:   penstock.Identity{Form: penstock.IdentityForm(i.Byte()), Epoch: i.Uint(), Seq: i.Uint(), Key: i.Text()},
		Result:     penstock.Result(i.Byte()), Reason: penstock.Reason(i.Text()), Detail: i.Text(),
		Committed: penstock.Mark{Epoch: i.Uint(), Seq: i.Uint()}, Accepted: penstock.Mark{Epoch: i.Uint(), Seq: i.Uint()},
	}
}

// Note writes what was noted in the evidence.
func (o *Out) Note(n evidence.Note) {
	o.Bool(n.Port)
	o.Text(n.Name)
	o.Uint(uint64(n.What))
	o.Uint(uint64(n.Event))
	o.Uint(n.Count)
	o.Bytes(n.Frame)
	o.Uint(uint64(n.Size))
	o.Text(n.Text)
	o.Float(n.Value)
}

// Note reads what was noted in the evidence. Its frame is a part of the body.
func (i *In) Note() evidence.Note {
	return evidence.Note{
		Port: i.Bool(), Name: i.Text(), What: i.Byte(), Event: evidence.Event(i.Byte()), Count: i.Uint(), Frame: i.Bytes(),
		Size: int(i.Uint()), Text: i.Text(), Value: i.Float(),
	}
}
