package outbox

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/penstock/penstock"
)

// foundSegment is a segment as it was read.
type foundSegment struct {
	*segment
	header header
	frames []foundFrame
	aside  bool // not even the header can be read
	broken bool // bytes are left over behind the last whole frame
}

// foundFrame is a frame in a segment: a report, or a span that was dropped.
type foundFrame struct {
	key     key // zero for a span
	dropped span
	at      int64
	size    int32
}

// scan reads every segment of the directory, by number. Those without a byte,
// to which nothing was ever written, and halves of a rewriting are removed.
func (b *Outbox) scan() (found []*foundSegment, err error) {
	names, err := b.o.Files.List()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var problems []error
	for _, name := range names {
		number, ok := segmentNumber(name)
		if !ok {
			if strings.HasSuffix(name, halfSuffix) {
				problems = append(problems, b.o.Files.Remove(name))
			}
			continue
		}
		b.number = number
		s, err := b.scanSegment(name)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if s.size == 0 {
			problems = append(problems, s.file.Close(), b.o.Files.Remove(name))
			continue
		}
		s.number = number
		found = append(found, s)
	}
	return found, errors.Join(problems...)
}

func (b *Outbox) scanSegment(name string) (*foundSegment, error) {
	f, err := b.o.Files.Open(name, false)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &foundSegment{segment: &segment{file: f, size: int64(len(data))}}
	if err := s.parse(data); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// parse reads a segment up to the first frame that is not whole. The error, of
// code Unsupported, says that a newer program wrote it.
func (s *foundSegment) parse(data []byte) (err error) {
	if s.header, err = parseHeader(data); err != nil {
		s.aside = true
		if penstock.CodeOf(err) == penstock.Corrupt {
			return nil
		}
		return err
	}
	s.last = key{s.header.epoch, s.header.first - 1}
	for rest := data[headerSize:]; len(rest) > 0; {
		kind, payload, after, ok := nextFrame(rest)
		f := foundFrame{at: int64(len(data) - len(rest)), size: int32(len(rest) - len(after))}
		switch {
		case !ok:
		case kind == kindReport:
			f.key, _, ok = parseReport(payload)
		case kind == kindDropped:
			f.dropped, ok = parseSpan(payload)
		default:
			return penstock.Errorf(penstock.Unsupported, "it has a frame of kind %d: use the program that wrote it", kind)
		}
		if !ok {
			s.broken = true
			return nil
		}
		s.frames, rest = append(s.frames, f), after
	}
	return nil
}
