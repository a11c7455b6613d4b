package app

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

// fitTime is how long a start waits to hear whether the record may be written.
const fitTime = 3 * time.Second

// fits returns an error of code [penstock.Unsupported] when the system of record says
// that this program is too old for it, or the other way round: what it would accept
// could never be delivered, and a load balancer would go on sending to it. A record
// that does not answer is none of the start's business: the spool is there for that.
func (n *node) fits(ctx context.Context, o nodeOptions) error {
	if n.record.NewRecord == nil {
		return nil
	}
	record, err := n.record.NewRecord(sink.Env{
		Name: n.record.Name, Node: n.self.Node, Log: component(o.log, "delivery"), Now: o.now, Rand: rand.Reader, Files: filepath.Join(o.dir, "sinks"),
	})
	if err != nil {
		return err
	}
	asked, ok := record.(interface{ Fits(context.Context) error })
	if !ok {
		return nil // the historian, which is open already
	}
	defer record.Close()
	ctx, cancel := context.WithTimeout(ctx, fitTime)
	defer cancel()
	if err := asked.Fits(ctx); penstock.CodeOf(err) == penstock.Unsupported {
		return penstock.Errorf(penstock.Unsupported, "sink %s, the system of record: %w", n.record.Name, err)
	}
	return nil
}
