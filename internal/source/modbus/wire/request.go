package wire

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/penstock/penstock"
)

// Function is a Modbus function code.
type Function uint8

// The functions that are asked for.
const (
	ReadCoils    Function = 1
	ReadDiscrete Function = 2
	ReadHolding  Function = 3
	ReadInput    Function = 4
	Diagnose     Function = 8
)

// Limits of one request.
const (
	MaxRegisters = 125
	MaxBits      = 2000
)

// Bits tells whether the function reads single bits; the others read registers
// of 16 bits.
func (f Function) Bits() bool { return f == ReadCoils || f == ReadDiscrete }

const failed Function = 0x80 // is set in the answer of a device that will not

// Request asks one device for a range. For [Diagnose], Address is the number of
// the counter, and Count is 0.
type Request struct {
	Unit     uint8
	Function Function
	Address  uint16 // the first, counted from 0
	Count    uint16 // of registers or bits
}

// Check returns an error of code [penstock.Invalid] for a request that no device
// can answer.
func (q Request) Check() error {
	most := MaxRegisters
	switch q.Function {
	case Diagnose:
		return nil
	case ReadCoils, ReadDiscrete:
		most = MaxBits
	case ReadHolding, ReadInput:
	default:
		return penstock.Errorf(penstock.Invalid, "function %d is not one that reads", q.Function)
	}
	if q.Count < 1 || int(q.Count) > most {
		return penstock.Errorf(penstock.Invalid, "a request for %d is outside 1 to %d", q.Count, most)
	}
	if int(q.Address)+int(q.Count) > 1<<16 {
		return penstock.Errorf(penstock.Invalid, "%d from %d on reach beyond address 65535", q.Count, q.Address)
	}
	return nil
}

// String tells a person what is asked.
func (q Request) String() string {
	if q.Function == Diagnose {
		return fmt.Sprintf("unit %d, counter 0x%02X", q.Unit, q.Address)
	}
	return fmt.Sprintf("unit %d, function %d, %d from %d on", q.Unit, q.Function, q.Count, q.Address)
}

// appendPDU appends what is the same on every transport.
func (q Request) appendPDU(b []byte) []byte {
	b = append(b, byte(q.Function))
	b = binary.BigEndian.AppendUint16(b, q.Address)
	return binary.BigEndian.AppendUint16(b, q.Count)
}

// dataBytes returns how many bytes of data the answer holds.
func (q Request) dataBytes() int {
	switch {
	case q.Function == Diagnose:
		return 2
	case q.Function.Bits():
		return (int(q.Count) + 7) / 8
	}
	return 2 * int(q.Count)
}

// answerSize returns how long the PDU of a good answer is.
func (q Request) answerSize() int {
	if q.Function == Diagnose {
		return 5
	}
	return 2 + q.dataBytes()
}

// begins tells whether pdu, of which one byte or more has come, can be the
// beginning of a good answer.
func (q Request) begins(pdu []byte) bool {
	if Function(pdu[0]) != q.Function {
		return false
	}
	if q.Function == Diagnose {
		counter := binary.BigEndian.AppendUint16(nil, q.Address)
		return string(pdu[1:min(3, len(pdu))]) == string(counter[:min(2, len(pdu)-1)])
	}
	return len(pdu) < 2 || int(pdu[1]) == q.dataBytes()
}

// refuses tells whether pdu begins as the answer of a device that will not.
func (q Request) refuses(pdu []byte) bool { return Function(pdu[0]) == q.Function|failed }

// refusalSize is how long the PDU of a refusal is.
const refusalSize = 2

// data returns what a whole good answer brings.
func (q Request) data(pdu []byte) []byte { return pdu[len(pdu)-q.dataBytes():] }

// Exception is a device's word that it will not answer.
type Exception struct{ Code ExceptionCode }

// ExceptionCode is why a device will not answer.
type ExceptionCode uint8

// The codes that are acted on.
const (
	IllegalFunction ExceptionCode = 1
	IllegalAddress  ExceptionCode = 2
	IllegalValue    ExceptionCode = 3
	DeviceFailure   ExceptionCode = 4
	Acknowledge     ExceptionCode = 5
	DeviceBusy      ExceptionCode = 6
	PathUnavailable ExceptionCode = 10
	TargetSilent    ExceptionCode = 11
)

// Error tells what the device said.
func (e *Exception) Error() string {
	words := "a code of its own"
	switch e.Code {
	case IllegalFunction:
		words = "illegal function"
	case IllegalAddress:
		words = "illegal data address"
	case IllegalValue:
		words = "illegal data value"
	case DeviceFailure:
		words = "device failure"
	case Acknowledge:
		words = "acknowledge, not ready yet"
	case DeviceBusy:
		words = "device busy"
	case PathUnavailable:
		words = "gateway path unavailable"
	case TargetSilent:
		words = "the device behind the gateway does not answer"
	}
	return fmt.Sprintf("exception %d (%s)", e.Code, words)
}

// hexOf returns the first bytes of a frame for a sentence.
func hexOf(b []byte) string {
	const most = 8
	text := fmt.Sprintf("% X", b[:min(len(b), most)])
	if len(b) > most {
		text += " …"
	}
	return strings.ToLower(text)
}
