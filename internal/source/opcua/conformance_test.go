package opcua_test

import (
	"context"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/internal/source/opcua/session"
	"github.com/penstock/penstock/internal/source/sourcetest"
)

const flowNode = "ns=1;s=flow"

// settings subscribe one node, with short times.
func settings(endpoint string) opcua.Config {
	return opcua.Config{
		Endpoint: endpoint, Security: session.Security{Policy: "None"},
		Keepalive: config.Duration(200 * time.Millisecond), Timeout: config.Duration(2 * time.Second),
		Groups: []opcua.Group{{
			Publish: config.Duration(50 * time.Millisecond),
			Nodes:   []opcua.Node{{Node: flowNode, Controller: "pump-17", Point: "flow"}},
		}},
	}
}

// pump is a controller behind the server.
type pump struct{ f *fake }

func (p pump) Send(ctx context.Context, r *penstock.Report) error {
	s := r.Samples[0]
	p.f.mu.Lock()
	watched := len(p.f.subs) > 0
	p.f.mu.Unlock()
	if !watched {
		return context.DeadlineExceeded
	}
	ack := p.f.change(sent, flowNode, value(s.Value.Float(), s.SourceTime))
	for !p.f.acknowledged(ack) {
		p.f.keepalive() // gives back the publish request, so that the next brings the acknowledgement
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func (p pump) Close() error { return nil }

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Subject {
		f := newFake(t)
		return sourcetest.Subject{
			New: func(t *testing.T, env source.Env) penstock.Source {
				f.with(func() { clear(f.subs) })
				s, err := newSource(settings(f.endpoint()), env)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Peer: func(*testing.T) sourcetest.Peer { return pump{f} },
			Mute: true,
		}
	})
}
