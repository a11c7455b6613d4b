package mqttclient

import (
	"context"

	"github.com/eclipse/paho.golang/paho"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/sparkplug"
)

// origin is what is kept of a message of an edge node until it is decided about.
type origin struct {
	in   *intake // of the connection that it came with
	slot *source.Slot[*paho.Publish]
}

// Decided implements [source.EdgeWay].
func (in *intake) Decided(ctx context.Context, from origin, d sparkplug.Decided) {
	if from.in != in { // it came with a connection before this one
		var err error
		if from.slot, err = in.window.Take(ctx, nil); err != nil {
			return
		}
	}
	from.slot.Submit(ctx, source.ReportEnvelopes(penstock.Envelope{
		Source: in.env.Name, Peer: in.server.Address, Principal: source.Own(in.env.Name, in.Controllers),
	}, d.Reports))
}

// Command implements [source.EdgeWay].
func (in *intake) Command(ctx context.Context, c sparkplug.Command) error {
	_, err := in.client.Publish(ctx, &paho.Publish{Topic: c.Topic, Payload: c.Payload})
	return err
}
