package outbox

import (
	"math"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// renumberBatch is how many reports get new numbers at once.
const renumberBatch = 256

// Renumber gives the reports of an epoch new numbers, in a new epoch, and forgets
// the old ones: another has used them. A power cut in between leaves some under
// both numbers, which then come twice.
func (b *Outbox) Renumber(epoch uint64) error {
	fresh, err := b.o.NewEpoch()
	if err != nil {
		return err
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	q := b.queueOf(epoch)
	if q == nil || b.closed {
		b.mu.Unlock()
		return nil
	}
	first, next := q.low, q.next()
	b.insert(&queue{epoch: max(fresh, b.queues[len(b.queues)-1].epoch+1), low: 1, base: 1})
	b.mu.Unlock()
	b.active = nil
	b.o.Log.Warn("the reports in the outbox get new numbers", "epoch", epoch, "reports", next-first)
	var d link.Decoder
	for first < next {
		var batch []*pending
		end := min(next, first+renumberBatch)
		for ; first < end; first++ {
			var r penstock.Report
			encoded, _ := b.Read(epoch, first, nil)
			if _, err := d.Decode(encoded, &r); err == nil && len(r.Samples) > 0 {
				batch = append(batch, &pending{samples: r.Samples})
			}
		}
		if err := b.writeRoomy(batch); err != nil {
			return err
		}
		b.Forget(epoch, end-1)
	}
	b.Forget(epoch, next-1)
	return nil
}

// writeRoomy is write, beyond the limit of bytes: what is written here is given
// back as soon as it is durable. b.writing is held.
func (b *Outbox) writeRoomy(batch []*pending) error {
	limit := b.o.MaxBytes
	b.o.MaxBytes = math.MaxInt64
	defer func() { b.o.MaxBytes = limit }()
	return b.write(batch)
}
