package store

import (
	"github.com/cockroachdb/pebble/v2"
)

// Batch collects changes that become durable together or not at all. It is not
// safe for concurrent use.
type Batch struct {
	store  *Store
	batch  *pebble.Batch
	buffer []byte
}

// NewBatch returns an empty batch. It must be committed, or closed.
func (s *Store) NewBatch() *Batch { return &Batch{store: s, batch: s.db.NewBatch()} }

// Set puts value, sealed, under key. Neither is kept.
func (b *Batch) Set(key, value []byte) {
	b.buffer = b.store.seal.seal(b.buffer[:0], key, value)
	b.ignore(b.batch.Set(key, b.buffer, nil))
}

// Delete takes key away.
func (b *Batch) Delete(key []byte) { b.ignore(b.batch.Delete(key, nil)) }

// DeleteRange takes the keys from first up to, not including, last away.
func (b *Batch) DeleteRange(first, last []byte) {
	b.ignore(b.batch.DeleteRange(first, last, nil))
}

// ignore drops an error that a batch in memory never returns.
func (b *Batch) ignore(error) {}

// Size returns how many bytes the batch will write.
func (b *Batch) Size() int { return b.batch.Len() }

// Close drops a batch that is not to be committed. It is legal after Commit.
func (b *Batch) Close() {
	if b.batch != nil {
		b.ignore(b.batch.Close())
		b.batch = nil
	}
}

// Commit makes the batch durable and ends it. When it returns an error the store
// is dead or closed, and nothing of the batch may be taken as written.
func (s *Store) Commit(b *Batch) error {
	batch := b.batch
	b.batch = nil
	_, err := run(s.life, func() (struct{}, error) {
		if err := batch.Commit(pebble.Sync); err != nil {
			return struct{}{}, coded(err)
		}
		return struct{}{}, coded(batch.Close())
	})
	return err
}
