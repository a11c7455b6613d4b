package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
)

// farewell is the time for a clean end.
const farewell = 2 * time.Second

// Client is a session with a server.
type Client struct {
	client  *opcua.Client
	timeout time.Duration
}

// Send sends a request and waits for its answer until ctx ends.
func Send[R ua.Response](ctx context.Context, c *Client, req ua.Request) (R, error) {
	var answer R
	err := c.client.Send(ctx, req, func(res ua.Response) error {
		var ok bool
		if answer, ok = res.(R); !ok {
			return ua.StatusBadUnknownResponse
		}
		return nil
	})
	return answer, err
}

// Ask sends a request that is to be answered at once. Its error is
// [context.DeadlineExceeded] when the server is too slow.
func Ask[R ua.Response](ctx context.Context, c *Client, req ua.Request) (R, error) {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, err := Send[R](bounded, c, req)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("no answer within %v: %w", c.timeout, err)
	}
	return answer, err
}

// Leave ends the session. With the subscriptions kept, the server holds them for
// whoever comes next.
func (c *Client) Leave(ctx context.Context, keep bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if keep {
		_ = c.client.Send(ctx, &ua.CloseSessionRequest{DeleteSubscriptions: false}, func(ua.Response) error { return nil })
		_, _ = c.client.DetachSession(ctx) // so that Close does not end it in its own way
	}
	_ = c.client.Close(ctx) // nothing depends on how it ends
}

// Shown returns the certificate that a server shows, as security.trust has it.
func Shown(ctx context.Context, endpoint string, timeout time.Duration) (string, error) {
	all, err := opcua.GetEndpoints(ctx, endpoint, opcua.DialTimeout(timeout), opcua.RequestTimeout(timeout))
	if err != nil {
		return "", Failure("the server could not be asked how it is to be spoken to", err)
	}
	for _, e := range all {
		if leaf := leafOf(e.ServerCertificate); leaf != nil {
			return fingerprintPrefix + fingerprint(leaf), nil
		}
	}
	return "", penstock.Errorf(penstock.Unsupported, "the server shows no certificate: it can be asked with the policy %s only", PolicyNone)
}
