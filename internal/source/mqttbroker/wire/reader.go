package wire

import (
	"bufio"
	"fmt"
	"io"
)

// Frame is a packet before it is decoded.
type Frame struct {
	Type  Type
	Flags byte   // the lower half of the first byte
	Body  []byte // belongs to the frame alone
}

// Bytes returns the packet as it came, for evidence.
func (f *Frame) Bytes() []byte {
	return append(appendHead(nil, f.Type, f.Flags, len(f.Body)), f.Body...)
}

// firstPiece is how many bytes of a packet get room before the first of them has
// come. What is longer grows with what comes.
const firstPiece = 4 << 10

// Reader takes packets out of a stream. It is used by one goroutine.
type Reader struct {
	in    *bufio.Reader
	limit int
}

// NewReader returns a reader of packets of at most limit bytes.
func NewReader(r io.Reader, size, limit int) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, size), limit: limit}
}

// Limit changes how long a packet may be.
func (r *Reader) Limit(bytes int) { r.limit = bytes }

// Wait blocks until the first byte of a packet is there.
func (r *Reader) Wait() error {
	_, err := r.in.Peek(1)
	return err
}

// Ready tells whether a whole packet was received already, or one that Next
// refuses at once.
func (r *Reader) Ready() bool {
	head, _ := r.in.Peek(min(r.in.Buffered(), 5))
	if len(head) < 2 {
		return false
	}
	n, size := parseVarint(head[1:])
	return size < 0 || size > 0 && (1+size+int(n) <= r.in.Buffered() || int(n) > r.limit)
}

// Next returns the next packet. An [*Error] says what is wrong with it; any other
// error is the stream's, [io.EOF] when it ended between two packets. After an
// error the reader is of no more use. The frame that comes with an error has what
// was read of the packet.
func (r *Reader) Next() (Frame, error) {
	first, err := r.in.ReadByte()
	if err != nil {
		return Frame{}, err
	}
	f := Frame{Type: Type(first >> 4), Flags: first & 15}
	length, err := r.length()
	if err != nil {
		return f, err
	}
	if err := checkHead(f); err != nil {
		return f, err
	}
	if length > r.limit {
		return f, &Error{Code: TooLarge, Text: fmt.Sprintf("a %s packet has %d bytes; %d are allowed", f.Type, length, r.limit)}
	}
	f.Body = make([]byte, min(length, firstPiece))
	for have := 0; ; {
		n, err := io.ReadFull(r.in, f.Body[have:])
		have += n
		if err != nil {
			f.Body = f.Body[:have]
			return f, unexpected(err)
		}
		if have == length {
			return f, nil
		}
		f.Body = append(f.Body, make([]byte, min(length-have, have))...)
	}
}

// length reads the remaining length.
func (r *Reader) length() (int, error) {
	var head [4]byte
	for i := range head {
		b, err := r.in.ReadByte()
		if err != nil {
			return 0, unexpected(err)
		}
		head[i] = b
		if n, size := parseVarint(head[:i+1]); size > 0 {
			return int(n), nil
		} else if size < 0 {
			break
		}
	}
	return 0, &Error{Code: Malformed, Text: fmt.Sprintf("the length of a packet is no variable byte integer: % x", head)}
}

// checkHead refuses types that there are not and flags that must not be.
func checkHead(f Frame) error {
	want := byte(0)
	switch f.Type {
	case 0:
		return &Error{Code: Malformed, Text: "a packet of type 0, which there is not: this is not MQTT"}
	case PUBLISH:
		return nil
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		want = 2
	}
	if f.Flags != want {
		return &Error{Code: Malformed, Text: fmt.Sprintf("a %s packet has the flags %#x and not %#x", f.Type, f.Flags, want)}
	}
	return nil
}

// unexpected says that a stream ended inside of a packet.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
