package reportjson

import (
	"github.com/penstock/penstock/internal/suggest"
)

// field is a key of a report or of a sample.
type field uint8

// The fields. The zero field is none.
const (
	fieldController field = iota + 1
	fieldEpoch
	fieldSeq
	fieldKey
	fieldSamples
	fieldPoint
	fieldTime
	fieldValue
	fieldStatus
	fieldUnit
	fieldNative
	fieldHistorical
)

var fieldNames = [...]string{
	fieldController: "controller", fieldEpoch: "epoch", fieldSeq: "seq", fieldKey: "key", fieldSamples: "samples",
	fieldPoint: "point", fieldTime: "time", fieldValue: "value", fieldStatus: "status", fieldUnit: "unit",
	fieldNative: "native", fieldHistorical: "historical",
}

// quotedNames holds the keys as they mostly stand, with quotes and colon.
var quotedNames = [...]string{
	0:               "\x00", // none
	fieldController: `"controller":`, fieldEpoch: `"epoch":`, fieldSeq: `"seq":`, fieldKey: `"key":`, fieldSamples: `"samples":`,
	fieldPoint: `"point":`, fieldTime: `"time":`, fieldValue: `"value":`, fieldStatus: `"status":`, fieldUnit: `"unit":`,
	fieldNative: `"native":`, fieldHistorical: `"historical":`,
}

// String returns the key.
func (f field) String() string { return fieldNames[f] }

// fields is a set of fields.
type fields uint16

const (
	reportFields fields = 1<<fieldController | 1<<fieldEpoch | 1<<fieldSeq | 1<<fieldKey | 1<<fieldSamples
	sampleFields fields = 1<<fieldPoint | 1<<fieldTime | 1<<fieldValue | 1<<fieldStatus | 1<<fieldUnit |
		1<<fieldNative | 1<<fieldHistorical
)

func (s fields) has(f field) bool { return s>>f&1 != 0 }

// fieldOf returns the field of a key, 0 for none.
func fieldOf(key []byte) field {
	switch string(key) {
	case "controller":
		return fieldController
	case "epoch":
		return fieldEpoch
	case "seq":
		return fieldSeq
	case "key":
		return fieldKey
	case "samples":
		return fieldSamples
	case "point":
		return fieldPoint
	case "time":
		return fieldTime
	case "value":
		return fieldValue
	case "status":
		return fieldStatus
	case "unit":
		return fieldUnit
	case "native":
		return fieldNative
	case "historical":
		return fieldHistorical
	}
	return 0
}

// nearest returns the name of the field of the set that a mistaken key most likely
// meant, and the empty string when none is near.
func nearest(key string, of fields) string {
	var names []string
	for f := fieldController; f <= fieldHistorical; f++ {
		if of.has(f) {
			names = append(names, f.String())
		}
	}
	return suggest.Nearest(key, names)
}
