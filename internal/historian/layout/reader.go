package layout

import "encoding/binary"

// Reader reads the fields of a value; after a bad one it only gives zeros.
type Reader struct {
	B   []byte // what is left
	Bad bool   // a field was not there
}

// Uvarint reads an unsigned varint. Most have one byte or two.
func (r *Reader) Uvarint() uint64 {
	if b := r.B; len(b) > 1 {
		if b[0] < 0x80 {
			r.B = b[1:]
			return uint64(b[0])
		}
		if b[1] < 0x80 {
			r.B = b[2:]
			return uint64(b[0]&0x7f) | uint64(b[1])<<7
		}
	}
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.Bad, r.B = true, nil
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Varint reads a signed varint.
func (r *Reader) Varint() int64 {
	v := r.Uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// Bytes reads n bytes, which stay those of the value.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.B)) {
		r.Bad, r.B = true, nil
		return nil
	}
	b := r.B[:n]
	r.B = r.B[n:]
	return b
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.B) == 0 {
		r.Bad = true
		return 0
	}
	v := r.B[0]
	r.B = r.B[1:]
	return v
}

// Text reads a length and so many bytes.
func (r *Reader) Text() string { return string(r.Bytes(r.Uvarint())) }

// AppendText writes what [Reader.Text] reads.
func AppendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
