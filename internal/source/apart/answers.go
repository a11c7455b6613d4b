package apart

import (
	"context"
	"net"
	"net/netip"
	"os"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/apart/wire"
)

// answer answers a question.
func (h *host) answer(ctx context.Context, id uint64, asked wire.Question, in *wire.In) {
	var said wire.Out
	file, err := h.reply(ctx, asked, in, &said)
	var o wire.Out
	o.Uint(id)
	o.Error(err)
	if err == nil {
		o = append(o, said...)
	}
	_ = h.conn.SendFile(wire.Answer, o, file) // who does not hear it is gone
}

// reply writes what the node says, and returns the file that goes along, nil for
// none.
func (h *host) reply(ctx context.Context, asked wire.Question, in *wire.In, o *wire.Out) (*os.File, error) {
	switch asked {
	case wire.WhoIs:
		return nil, h.whoIs(in, o)
	case wire.KeyOf:
		return nil, h.keyOf(in, o)
	case wire.MarksOf:
		controller, epoch := in.Text(), in.Uint()
		marks := h.env.Marks.Marks(controller, epoch)
		o.Uint(marks.Accepted)
		o.Uint(marks.Committed)
		o.Uint(marks.LastEpoch)
		return nil, in.Err()
	case wire.MayComeIn:
		at, err := netip.ParseAddr(in.Text())
		if err == nil {
			o.Bool(h.env.Lets == nil || h.env.Lets(at))
		}
		return nil, err
	case wire.Listen:
		return nil, h.listen(in, o)
	case wire.Accept:
		return h.accept(ctx, in.Uint())
	case wire.Meet, wire.Await:
		return nil, h.meet(ctx, asked == wire.Await, in)
	case wire.ListenPacket:
		return h.listenPacket(in)
	}
	return nil, penstock.Errorf(penstock.Unsupported, "the node cannot be asked question %d", asked)
}

func (h *host) whoIs(in *wire.In, o *wire.Out) error {
	shown := in.Credential()
	if err := in.Err(); err != nil {
		return err
	}
	p, err := h.env.Auth.Authenticate(shown)
	if err == nil {
		o.Principal(p)
	}
	return err
}

func (h *host) keyOf(in *wire.In, o *wire.Out) error {
	id := in.Uint()
	if err := in.Err(); err != nil {
		return err
	}
	secret, p, err := h.env.Keys.Key(id)
	if err == nil {
		o.Bytes(secret)
		o.Principal(p)
	}
	return err
}

func (h *host) meet(ctx context.Context, waits bool, in *wire.In) error {
	controller, epoch := in.Text(), in.Uint()
	switch err := in.Err(); {
	case err != nil:
		return err
	case h.env.Newcomers == nil:
		return nil
	case waits:
		return h.env.Newcomers.Await(ctx, controller, epoch)
	}
	return h.env.Newcomers.Meet(controller, epoch)
}

func (h *host) listen(in *wire.In, o *wire.Out) error {
	name, address := in.Text(), in.Text()
	if err := in.Err(); err != nil {
		return err
	}
	l, err := h.env.Listen(name, address)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		l.Close()
		return penstock.Errorf(penstock.Closed, "the source ends")
	}
	h.listened++
	h.listeners[h.listened] = l
	o.Uint(h.listened)
	o.Text(l.Addr().String())
	return nil
}

// accept accepts a connection and gives it away. Strangers and whoever comes while
// there is no room are turned away here, as by any listener of the node.
func (h *host) accept(ctx context.Context, id uint64) (*os.File, error) {
	h.mu.Lock()
	l := h.listeners[id]
	h.mu.Unlock()
	if l == nil {
		return nil, penstock.Errorf(penstock.Closed, "the listener is closed")
	}
	c, err := source.Accept(ctx, l, h.env.Log)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return fileOf(c)
}

func (h *host) listenPacket(in *wire.In) (*os.File, error) {
	name, address := in.Text(), in.Text()
	if err := in.Err(); err != nil {
		return nil, err
	}
	c, err := h.env.ListenPacket(name, address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return fileOf(c)
}

// fileOf returns a file of its own of what a connection is.
func fileOf(c any) (*os.File, error) {
	filed, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, penstock.Errorf(penstock.Unsupported, "a %T cannot be given to the process of a source", c)
	}
	return filed.File()
}

func (h *host) unlisten(id uint64) {
	h.mu.Lock()
	l := h.listeners[id]
	delete(h.listeners, id)
	h.mu.Unlock()
	if l != nil {
		l.Close()
	}
}

func (h *host) closeListeners() {
	h.mu.Lock()
	var open []net.Listener
	for _, l := range h.listeners {
		open = append(open, l)
	}
	clear(h.listeners)
	h.closed = true
	h.mu.Unlock()
	for _, l := range open {
		l.Close()
	}
}
