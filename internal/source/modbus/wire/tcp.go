package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// mbap is the framing of Modbus TCP: transaction, protocol 0, length of what
// follows, unit.
type mbap struct{ transaction uint16 }

const headerSize = 7

func (m *mbap) prepare(*Bus) error { return nil }

func (m *mbap) append(dst []byte, q Request) []byte {
	m.transaction++
	dst = binary.BigEndian.AppendUint16(dst, m.transaction)
	dst = append(dst, 0, 0, 0, 6, q.Unit)
	return q.appendPDU(dst)
}

func (m *mbap) take(b *Bus, q Request) ([]byte, error) {
	for len(b.buffer) >= headerSize {
		protocol := binary.BigEndian.Uint16(b.buffer[2:])
		length := int(binary.BigEndian.Uint16(b.buffer[4:]))
		if protocol != 0 || length < 1+refusalSize || length > maxFrame-headerSize+1 {
			b.Seen(int(q.Unit), evidence.Malformed, b.buffer, "this is no header of Modbus TCP: "+hexOf(b.buffer))
			return nil, penstock.Errorf(penstock.Corrupt, "the stream is out of step, or does not speak Modbus TCP: %s", hexOf(b.buffer))
		}
		size := headerSize - 1 + length
		if len(b.buffer) < size {
			return nil, nil
		}
		frame := slices.Clone(b.buffer[:size])
		b.drop(size)
		pdu, err := m.judge(b, q, frame)
		if pdu != nil || err != nil {
			return pdu, err
		}
	}
	return nil, nil
}

// judge returns the PDU of a frame that is the answer, an error for one that had
// to be and is not, and neither for one that is to be passed over.
func (m *mbap) judge(b *Bus, q Request, frame []byte) ([]byte, error) {
	pdu := frame[headerSize:]
	if got := binary.BigEndian.Uint16(frame); !b.AnyTransaction && got != m.transaction {
		b.Seen(int(frame[headerSize-1]), evidence.Late, frame, fmt.Sprintf("it answers transaction %d, now it is %d", got, m.transaction))
		return nil, nil
	}
	rightUnit := b.AnyUnit || frame[headerSize-1] == q.Unit
	if rightUnit && (q.refuses(pdu) && len(pdu) == refusalSize || q.begins(pdu) && len(pdu) == q.answerSize()) {
		return pdu, nil
	}
	if b.AnyTransaction { // it may be the answer to an earlier request
		b.Seen(int(frame[headerSize-1]), evidence.Late, frame, "it does not answer what was asked last: "+q.String())
		return nil, nil
	}
	b.Seen(int(q.Unit), evidence.Malformed, frame, "the transaction is right, and it does not answer "+q.String())
	return nil, ErrDamaged
}

func (m *mbap) give(b *Bus, q Request) error {
	if b.AnyTransaction {
		b.broken = penstock.Errorf(penstock.Unavailable,
			"unit %d did not answer in time, and without transaction numbers its late answer could be taken for another", q.Unit)
	}
	return ErrTimeout // what came of a frame stays: the rest of it may follow
}
