package penstock

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Status is an OPC UA StatusCode: the severity in the two highest bits, the
// code in the upper half, flags in the lower half (OPC 10000-4, 7.39).
type Status uint32

// Statuses that the gateway itself gives.
const (
	Good                     Status = 0x00000000
	Uncertain                Status = 0x40000000
	UncertainLastUsableValue Status = 0x40900000
	Bad                      Status = 0x80000000
	BadCommunicationError    Status = 0x80050000
	BadDecodingError         Status = 0x80070000
	BadTimeout               Status = 0x800A0000
	BadNoCommunication       Status = 0x80310000
	BadWaitingForInitialData Status = 0x80320000
	BadDataLost              Status = 0x809D0000
	statusCodeMask           Status = 0xFFFF0000
	statusSeverityMask       Status = 0xC0000000
)

// IsGood tells whether the value can be used without reserve.
func (s Status) IsGood() bool { return s&statusSeverityMask == 0 }

// IsBad tells whether there is no usable value.
func (s Status) IsBad() bool { return s&statusSeverityMask >= Bad }

// Worse tells whether s is of a worse severity than other.
func (s Status) Worse(other Status) bool {
	return s&statusSeverityMask > other&statusSeverityMask
}

// String returns the standard's name of the code, without the flags, or the
// number in hexadecimal when the standard has no name for it.
func (s Status) String() string {
	if name, ok := statusTable().names[s&statusCodeMask]; ok {
		return name
	}
	return fmt.Sprintf("0x%08X", uint32(s))
}

// ParseStatus reads a status from the standard's name, with or without
// underscore ("Bad_DataLost", "BadDataLost"), or from a number, decimal or with
// 0x before it.
func ParseStatus(s string) (Status, error) {
	if code, ok := statusTable().codes[strings.Replace(s, "_", "", 1)]; ok {
		return code, nil
	}
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return 0, Errorf(Invalid, "%s is neither the name nor the number of an OPC UA status", quotedPrefix(s))
	}
	return Status(n), nil
}

// statusCodes holds a line a code: the number in hexadecimal and the name.
//
//go:embed status_codes.txt
var statusCodes string

type statusNames struct {
	names map[Status]string
	codes map[string]Status
}

var statusTable = sync.OnceValue(func() statusNames {
	t := statusNames{names: map[Status]string{}, codes: map[string]Status{}}
	for line := range strings.Lines(statusCodes) {
		code, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(code, 16, 32)
		if !ok || err != nil {
			panic("penstock: status_codes.txt: " + line) // the file is part of the program
		}
		t.codes[name] = Status(n)
		if _, twice := t.names[Status(n)]; !twice {
			t.names[Status(n)] = name
		}
	}
	return t
})
