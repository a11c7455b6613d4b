package query

import (
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/penstock/penstock"
)

// cursor says where an answer that was cut goes on. It holds the range of the
// first answer, so that the pages of a range relative to now fit together.
type cursor struct {
	from, to   int64
	controller string
	point      string
	time       int64  // of the first sample that is missing
	skip       uint64 // samples of that time that were given already
}

const cursorVersion = 1

func (k *cursor) String() string {
	b := []byte{cursorVersion}
	b = binary.AppendVarint(b, k.from)
	b = binary.AppendVarint(b, k.to)
	b = binary.AppendVarint(b, k.time)
	b = binary.AppendUvarint(b, k.skip)
	b = append(b, k.controller...)
	b = append(b, 0) // no name has a control character
	b = append(b, k.point...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string) (*cursor, error) {
	bad := penstock.Errorf(penstock.Invalid, "next=%.20q… is not what an answer gave: send it back as it was", s)
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) == 0 || b[0] != cursorVersion {
		return nil, bad
	}
	b = b[1:]
	k := new(cursor)
	for _, field := range []*int64{&k.from, &k.to, &k.time} {
		n := 0
		if *field, n = binary.Varint(b); n <= 0 {
			return nil, bad
		}
		b = b[n:]
	}
	n := 0
	if k.skip, n = binary.Uvarint(b); n <= 0 {
		return nil, bad
	}
	controller, point, ok := strings.Cut(string(b[n:]), "\x00")
	if !ok || k.time < k.from {
		return nil, bad
	}
	k.controller, k.point = controller, point
	return k, nil
}
