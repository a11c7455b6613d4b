package mqttbroker

import (
	"context"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttbroker/fanout"
	"github.com/penstock/penstock/internal/source/mqttbroker/filter"
	"github.com/penstock/penstock/internal/source/mqttbroker/wire"
)

// maxClientID bounds the identifier that a client gives itself.
const maxClientID = 256

// maxAliases is how many topic aliases a client may use.
const maxAliases = 32

// refusal is why a client is not let in.
type refusal struct {
	code wire.Code
	old  wire.Code // the return code of version 3.1.1
	text string
}

// The return codes of version 3.1.1.
const (
	oldVersion     wire.Code = 1
	oldClientID    wire.Code = 2
	oldUnavailable wire.Code = 3
	oldCredential  wire.Code = 4
	oldForbidden   wire.Code = 5
)

// begin lets the client in: it has shown who it is, has its session and was told
// so when begin returns nil.
func (c *conn) begin(ctx context.Context) error {
	if err := c.shake(ctx); err != nil {
		return err
	}
	f, err := c.in.Next()
	if err == nil && f.Type != wire.CONNECT {
		err = &wire.Error{Code: wire.ProtocolError, Text: "the first packet is " + f.Type.String() + " and not CONNECT"}
	}
	if err == nil {
		c.connect, err = wire.DecodeConnect(f.Body)
	}
	c.version = c.connect.Version
	if broken, ok := err.(*wire.Error); ok {
		c.bad(&f, broken.Text)
		if f.Type != wire.CONNECT {
			return broken
		}
		r := c.refuse(&refusal{broken.Code, oldReturn(broken.Code), broken.Text})
		r.event = evidence.Malformed
		return r
	}
	if err != nil {
		return err
	}
	if r := c.admit(); r != nil {
		return c.refuse(r)
	}
	present, r := c.sessions.attach(ctx, c)
	if r != nil {
		return c.refuse(r)
	}
	c.guest.Depart()
	return c.welcome(present)
}

func oldReturn(code wire.Code) wire.Code {
	if code == wire.UnsupportedVersion {
		return oldVersion
	}
	return 0 // version 3.1.1 has no word for a malformed packet
}

// refuse tells the client why it is not let in, and returns that as the end of
// the connection.
func (c *conn) refuse(r *refusal) *ending {
	answer := wire.Connack{Code: r.code, Properties: wire.Properties{{ID: wire.ReasonString, Text: r.text}}}
	if c.version != wire.V5 {
		answer = wire.Connack{Code: r.old}
	}
	if answer.Code != wire.Success {
		_ = c.write(wire.AppendConnack(nil, c.version, answer)) // it is refused, whether it hears so or not
	}
	return &ending{r.code, r.text, evidence.Refused}
}

// admit checks the CONNECT packet and who sent it.
func (c *conn) admit() *refusal {
	p := &c.connect
	if p.Properties.Has(wire.AuthMethod) {
		return &refusal{wire.BadAuthMethod, oldForbidden, "the broker knows no extended authentication: send a token as the password"}
	}
	if len(p.ClientID) > maxClientID || strings.ContainsFunc(p.ClientID, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }) {
		return &refusal{wire.InvalidClientID, oldClientID, "a client identifier has at most 256 bytes and no control characters"}
	}
	if p.ClientID == "" && p.Version == wire.V311 && !p.CleanStart {
		return &refusal{wire.InvalidClientID, oldClientID, "a client without an identifier cannot have a session that is kept"}
	}
	credential := penstock.Credential{Token: p.Password, User: p.User, Certificates: certificates(c.net)}
	principal, err := c.env.Auth.Authenticate(credential)
	if err != nil {
		return &refusal{wire.NotAuthorized, oldCredential, err.Error()}
	}
	p.Password = "" // it is in the credential
	if p.ClientID == "" {
		var random [16]byte
		if _, err := io.ReadFull(c.env.Rand, random[:]); err != nil {
			return &refusal{wire.Unspecified, oldUnavailable, "no client identifier could be made: " + err.Error()}
		}
		p.ClientID = "auto-" + hex.EncodeToString(random[:])
	}
	c.client = &fanout.Client{ID: p.ClientID, Peer: c.raw.RemoteAddr().String(), Credential: credential, Principal: principal}
	if s := principal.Scope; len(s) == 1 && !strings.Contains(s[0], "*") {
		c.page = c.env.Evidence.Controller(s[0])
		c.page.Peer(c.client.Peer)
	}
	return c.admitWill(p.Will)
}

// admitWill checks that the client could publish its will itself.
func (c *conn) admitWill(w *wire.Message) *refusal {
	if w == nil {
		return nil
	}
	if err := filter.CheckTopic(w.Topic); err != nil {
		return &refusal{wire.InvalidTopic, oldForbidden, "the will: " + err.Error()}
	}
	p := c.places.Of(w.Topic)
	if p.Err != nil {
		return &refusal{wire.InvalidTopic, oldForbidden, "the will: " + p.Err.Error()}
	}
	if !p.MayPublish(c.client) {
		return &refusal{wire.NotAuthorized, oldForbidden, "the will: the credential may not publish to its topic"}
	}
	return nil
}

// welcome tells the client that it is let in, and with which limits.
func (c *conn) welcome(present bool) error {
	answer := wire.Connack{Present: present}
	if c.version == wire.V5 {
		answer.Properties = c.limits()
	}
	c.in.Limit(int(c.config.MaxPacket))
	if err := c.raw.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := c.out.let(c, wire.AppendConnack(nil, c.version, answer)); err != nil {
		return err
	}
	c.count(evidence.Connected)
	c.log.Debug("a client has connected", "client", c.client.ID, "peer", c.client.Peer, "credential", c.client.Principal.Credential, "session_present", present)
	c.start(c.deliver)
	return nil
}

// limits are the properties of CONNACK.
func (c *conn) limits() wire.Properties {
	p := wire.Properties{
		{ID: wire.ReceiveMaximum, Number: uint32(c.config.ReceiveMaximum)},
		{ID: wire.MaximumPacket, Number: uint32(c.config.MaxPacket)},
		{ID: wire.TopicAliasMaximum, Number: maxAliases},
	}
	if c.config.Retained == 0 {
		p = append(p, wire.Field{ID: wire.RetainAvailable, Number: 0})
	}
	if want, get := c.connect.Properties.Number(wire.SessionExpiry), expiry(&c.connect, c.config.SessionExpiry.Std()); uint32(get/time.Second) != want {
		p = append(p, wire.Field{ID: wire.SessionExpiry, Number: uint32(get / time.Second)})
	}
	if strings.HasPrefix(c.client.ID, "auto-") {
		p = append(p, wire.Field{ID: wire.AssignedClientID, Text: c.client.ID})
	}
	return p
}

// expiry returns how long a client's session is kept when it has gone.
func expiry(p *wire.Connect, limit time.Duration) time.Duration {
	if p.Version == wire.V5 {
		return min(limit, time.Duration(p.Properties.Number(wire.SessionExpiry))*time.Second)
	}
	if p.CleanStart {
		return 0
	}
	return limit
}
