package session

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
)

// What Penstock calls itself towards servers.
const (
	productURI   = "urn:penstock"
	plainAppURI  = "urn:penstock:client" // without a certificate
	channelHours = 1
)

// dialer makes one session.
type dialer struct {
	Settings
	env source.Env
}

// Connect opens a channel and a session. It does so step by step, and not with
// the library's Connect, which acknowledges and reconnects by itself. The
// settings were filled.
func Connect(ctx context.Context, settings Settings, env source.Env) (*Client, error) {
	s := &dialer{settings, env}
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &Client{client, s.Timeout}, nil
}

func (s *dialer) connect(ctx context.Context) (*opcua.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*s.Timeout)
	defer cancel()
	var app *identity
	if s.Security.Policy != PolicyNone || s.Security.Application.Cert != "" {
		var err error
		if app, err = s.application(); err != nil {
			return nil, err
		}
	}
	endpoint, err := s.choose(ctx)
	if err != nil {
		return nil, err
	}
	session, err := s.session(endpoint, app)
	if err != nil {
		return nil, err
	}
	options := []opcua.Option{
		opcua.AutoReconnect(false), opcua.RequestTimeout(s.Longest), opcua.DialTimeout(s.Timeout),
		opcua.Lifetime(channelHours * time.Hour), opcua.SecurityFromEndpoint(endpoint, ua.UserTokenTypeAnonymous),
	}
	if app != nil {
		options = append(options, opcua.Certificate(app.der), opcua.PrivateKey(app.key))
	}
	if s.Identity.Cert != "" {
		user, err := readPair("user_identity", s.Identity)
		if err != nil {
			return nil, err
		}
		session.UserIdentityToken.(*ua.X509IdentityToken).CertificateData = user.der
		options = append(options, opcua.AuthPrivateKey(user.key))
	}
	client, err := opcua.NewClient(s.Endpoint, options...)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the settings do not fit: %w", err)
	}
	if err := begin(ctx, client, session); err != nil {
		_ = client.Close(ctx) // what failed says more
		return nil, err
	}
	return client, nil
}

// begin opens the channel and the session. The library returns nothing at all
// when a signature is wrong.
func begin(ctx context.Context, client *opcua.Client, config *uasc.SessionConfig) error {
	if err := client.Dial(ctx); err != nil {
		return Failure("the server could not be reached", err)
	}
	session, err := client.CreateSession(ctx, config)
	if err != nil {
		return Failure("the server gives no session", err)
	}
	if session == nil {
		return penstock.Errorf(penstock.Unauthenticated, "the server could not prove that its certificate is its own")
	}
	if err := client.ActivateSession(ctx, session); err != nil {
		return Failure("the server does not let us in", err)
	}
	if client.Session() == nil {
		return penstock.Errorf(penstock.Unauthenticated, "the session could not be signed with our certificate")
	}
	return nil
}

// choose asks the server for its endpoints and returns the one with the policy
// and mode of the configuration, its certificate believed.
func (s *dialer) choose(ctx context.Context) (*ua.EndpointDescription, error) {
	all, err := opcua.GetEndpoints(ctx, s.Endpoint, opcua.DialTimeout(s.Timeout), opcua.RequestTimeout(s.Timeout))
	if err != nil {
		return nil, Failure("the server could not be asked how it is to be spoken to", err)
	}
	policy, mode := ua.FormatSecurityPolicyURI(s.Security.Policy), ua.MessageSecurityModeFromString(s.Security.Mode)
	for _, e := range all {
		if e.SecurityPolicyURI != policy || e.SecurityMode != mode {
			continue
		}
		chosen := *e
		if s.Security.Policy != PolicyNone {
			if chosen.ServerCertificate, err = s.believe(e.ServerCertificate); err != nil {
				return nil, err
			}
		}
		return &chosen, nil
	}
	offers := ""
	for _, e := range all {
		offers += " " + policyName(e.SecurityPolicyURI) + "/" + modeName(e.SecurityMode)
	}
	return nil, penstock.Errorf(penstock.Unsupported, "the server does not offer %s with %s, but%s: change security.policy and security.mode, or the server",
		s.Security.Policy, s.Security.Mode, offers)
}

// session says who we are, to the server's liking.
func (s *dialer) session(e *ua.EndpointDescription, app *identity) (*uasc.SessionConfig, error) {
	c := &uasc.SessionConfig{
		SessionName:    "penstock " + s.env.Name,
		SessionTimeout: max(4*s.Timeout, time.Minute),
		ClientDescription: &ua.ApplicationDescription{
			ApplicationURI: plainAppURI, ProductURI: productURI, ApplicationName: ua.NewLocalizedText("Penstock"), ApplicationType: ua.ApplicationTypeClient,
		},
		LocaleIDs: []string{"en"}, UserTokenSignature: &ua.SignatureData{},
	}
	if app != nil && app.uri != "" {
		c.ClientDescription.ApplicationURI = app.uri
	}
	kind, what := ua.UserTokenTypeAnonymous, "clients without a user"
	switch {
	case s.User != "":
		kind, what = ua.UserTokenTypeUserName, "users with a password"
	case s.Identity.Cert != "":
		kind, what = ua.UserTokenTypeCertificate, "users with a certificate"
	}
	for _, t := range e.UserIdentityTokens {
		if t.TokenType != kind {
			continue
		}
		c.AuthPolicyURI = t.SecurityPolicyURI
		if c.AuthPolicyURI == "" {
			c.AuthPolicyURI = e.SecurityPolicyURI
		}
		return c, s.token(c, t, e)
	}
	return nil, penstock.Errorf(penstock.Forbidden, "the server takes no %s at %s with %s", what, s.Security.Policy, s.Security.Mode)
}

// token puts the user into a session.
func (s *dialer) token(c *uasc.SessionConfig, t *ua.UserTokenPolicy, e *ua.EndpointDescription) error {
	switch t.TokenType {
	case ua.UserTokenTypeUserName:
		open := c.AuthPolicyURI == ua.SecurityPolicyURINone && e.SecurityMode != ua.MessageSecurityModeSignAndEncrypt
		if open && !s.plain() {
			return penstock.Errorf(penstock.Forbidden, "the server wants the password unencrypted: use the mode %s, or set plain_text: true", modeSignAndEncrypt)
		}
		c.AuthPassword = s.Password.Reveal()
		c.UserIdentityToken = &ua.UserNameIdentityToken{PolicyID: t.PolicyID, UserName: s.User}
	case ua.UserTokenTypeCertificate:
		c.UserIdentityToken = &ua.X509IdentityToken{PolicyID: t.PolicyID}
	default:
		c.UserIdentityToken = &ua.AnonymousIdentityToken{PolicyID: t.PolicyID}
	}
	return nil
}

// Failure translates an error of the library.
func Failure(what string, err error) error {
	code := penstock.Unavailable
	var status ua.StatusCode
	if errors.As(err, &status) {
		switch status {
		case ua.StatusBadIdentityTokenRejected, ua.StatusBadUserAccessDenied, ua.StatusBadSecurityChecksFailed,
			ua.StatusBadCertificateUntrusted, ua.StatusBadIdentityTokenInvalid:
			code = penstock.Unauthenticated
		}
		err = errors.New(penstock.Status(status).String())
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the connection has ended")
	}
	return penstock.Errorf(code, "%s: %w", what, err)
}

func policyName(uri string) string {
	const prefix = "http://opcfoundation.org/UA/SecurityPolicy#"
	if len(uri) > len(prefix) && uri[:len(prefix)] == prefix {
		return uri[len(prefix):]
	}
	return uri
}

func modeName(m ua.MessageSecurityMode) string {
	switch m {
	case ua.MessageSecurityModeNone:
		return modeNone
	case ua.MessageSecurityModeSign:
		return modeSign
	case ua.MessageSecurityModeSignAndEncrypt:
		return modeSignAndEncrypt
	}
	return "unknown"
}
