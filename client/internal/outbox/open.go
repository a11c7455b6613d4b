package outbox

import "github.com/penstock/penstock"

// Open returns the outbox that stands in the directory, or a new one. A newer
// program's is refused with the code Unsupported.
func Open(o Options) (*Outbox, error) {
	if o.MaxBytes < minCapacity {
		return nil, penstock.Errorf(penstock.Invalid, "an outbox needs room for at least %d bytes, not %d", minCapacity, o.MaxBytes)
	}
	b := &Outbox{o: o, segment: min(max(o.MaxBytes/16, minSegment), maxSegment)}
	r := recovery{b: b}
	if err := r.run(); err != nil {
		for _, s := range r.found {
			s.file.Close() // the error that ended it is the one to tell
		}
		return nil, err
	}
	return b, nil
}
