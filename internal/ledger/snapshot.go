package ledger

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/interval"
)

// snapshotVersion is the first byte of a snapshot.
const snapshotVersion = 1

// AppendSnapshot appends the durable part of the state: all that [Ledger.Apply]
// and [Ledger.Settle] made, without claims and without the count of waiting
// reports, which a replay of the spool gives. Equal states give equal bytes.
func (l *Ledger) AppendSnapshot(dst []byte) []byte {
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, uint64(l.damagedThrough))
	dst = l.unnamed.appendBinary(dst)
	dst = binary.AppendUvarint(dst, uint64(len(l.accounts)))
	for _, name := range l.Controllers() {
		dst = appendString(dst, name)
		dst = l.accounts[name].appendBinary(dst)
	}
	return dst
}

// Restore returns a ledger with the state of a snapshot.
func Restore(snapshot []byte, limits Limits) (*Ledger, error) {
	d := decoder{rest: snapshot}
	if version := d.byte(); !d.failed && version != snapshotVersion {
		return nil, penstock.Errorf(penstock.Unsupported, "ledger: snapshot of version %d; this program reads version %d", version, snapshotVersion)
	}
	l := New(limits)
	l.damagedThrough = penstock.Position(d.uvarint())
	l.unnamed = d.books()
	for range d.count() {
		name := d.string()
		l.accounts[name] = d.account(limits)
	}
	if d.failed || len(d.rest) > 0 {
		return nil, penstock.Errorf(penstock.Corrupt, "ledger: malformed snapshot")
	}
	return l, nil
}

func (b *Books) appendBinary(dst []byte) []byte {
	for _, n := range b.counters() {
		dst = binary.AppendUvarint(dst, *n)
	}
	rejections := b.rejections()
	dst = binary.AppendUvarint(dst, uint64(len(rejections)))
	for _, r := range rejections {
		dst = appendString(dst, string(r.Reason))
		dst = binary.AppendUvarint(dst, r.Count)
	}
	return dst
}

func (d *decoder) books() Books {
	var b Books
	for _, n := range b.counters() {
		*n = d.uvarint()
	}
	for _, r := range d.rejections() {
		b.reject(r.Reason, r.Count)
	}
	return b
}

// counters lists the accounts that a snapshot keeps, in its order.
func (b *Books) counters() []*uint64 {
	return []*uint64{
		&b.Received, &b.Accepted, &b.Duplicate,
		&b.Stored, &b.StoredTwice, &b.Quarantined, &b.Filtered, &b.Discarded, &b.Damaged,
	}
}

func (a *account) appendBinary(dst []byte) []byte {
	dst = a.books.appendBinary(dst)
	dst = binary.AppendUvarint(dst, uint64(len(a.epochs)))
	for _, number := range slices.Sorted(maps.Keys(a.epochs)) {
		e := a.epochs[number]
		dst = binary.AppendUvarint(dst, number)
		dst = e.accepted.AppendBinary(dst)
		dst = e.filled.AppendBinary(dst)
		dst = e.closed.AppendBinary(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(a.recent)))
	for i := range a.recent {
		p := a.recent[(a.next+i)%len(a.recent)] // from the oldest to the newest
		dst = binary.AppendUvarint(dst, p.epoch)
		dst = binary.AppendUvarint(dst, p.seq)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(p.fingerprint))
	}
	dst = binary.AppendUvarint(dst, uint64(len(a.keys.order)))
	for _, key := range a.keys.order {
		dst = appendString(dst, key)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(a.keys.prints[key]))
	}
	return dst
}

func (d *decoder) account(limits Limits) *account {
	a := &account{books: d.books(), epochs: map[uint64]*epoch{}}
	for range d.count() {
		number := d.uvarint()
		a.epochs[number] = &epoch{accepted: d.set(), filled: d.set(), closed: d.set()}
	}
	for range d.count() {
		id := penstock.SequenceIdentity(d.uvarint(), d.uvarint())
		a.remember(id, penstock.Fingerprint(d.fixed64()), limits)
	}
	for range d.count() {
		key := d.string()
		a.remember(penstock.KeyIdentity(key), penstock.Fingerprint(d.fixed64()), limits)
	}
	return a
}

func (d *decoder) set() interval.Set {
	set, rest, err := interval.Decode(d.rest)
	if err != nil {
		d.fail()
		return interval.Set{}
	}
	d.rest = rest
	return set
}
