package opcua

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
)

// overflow are the bits of a StatusCode that say that the server's queue for the
// node was too short: InfoType DataValue, and Overflow (OPC 10000-4, 7.39).
const overflow = 0x0400 | 0x0080

// lost tells whether the server has thrown away changes beside this one.
func lost(s ua.StatusCode) bool { return uint32(s)&0x0C00 == 0x0400 && uint32(s)&overflow == overflow }

// sampleOf returns what the server told of a node. The text says why there is no
// value although the server sent one, and is empty otherwise.
func sampleOf(n *node, v *ua.DataValue, now time.Time) (penstock.Sample, string) {
	s := penstock.Sample{Point: n.Point, Unit: n.Unit, Status: penstock.Status(v.Status)}
	if !v.Has(ua.DataValueStatusCode) {
		s.Status = penstock.Good
	}
	s.SourceTime, s.Flags = timeOf(v, now)
	if s.Status.IsBad() {
		return s, ""
	}
	if !v.Has(ua.DataValueValue) || v.Value == nil || v.Value.Type() == ua.TypeIDNull {
		s.Status = penstock.BadWaitingForInitialData
		return s, ""
	}
	value, why := valueOf(v.Value, n.index != "")
	if why != "" {
		s.Status = penstock.BadDecodingError
	}
	s.Value = value
	return s, why
}

// timeOf returns the device's time, else the server's, else the gateway's.
func timeOf(v *ua.DataValue, now time.Time) (int64, penstock.SampleFlags) {
	switch {
	case v.Has(ua.DataValueSourceTimestamp) && !v.SourceTimestamp.IsZero():
		return v.SourceTimestamp.UnixNano(), 0
	case v.Has(ua.DataValueServerTimestamp) && !v.ServerTimestamp.IsZero():
		return v.ServerTimestamp.UnixNano(), 0
	}
	return now.UnixNano(), penstock.GatewayClock
}

// Fits returns the name of a value's type, and why no point can hold it, empty
// when one can. An array is asked of its elements one by one.
func Fits(v *ua.Variant) (name, why string) {
	if !v.Has(ua.VariantArrayValues) {
		_, why = valueOf(v, false)
	}
	return typeName(v.Value()), why
}

// valueOf returns the value in a variant, or why it has none that a point can
// hold.
func valueOf(v *ua.Variant, element bool) (penstock.Value, string) {
	raw := v.Value()
	if v.Has(ua.VariantArrayValues) {
		if !element {
			return penstock.Value{}, fmt.Sprintf("it is an array of %d elements: index says which one is meant", v.ArrayLength())
		}
		if raw = only(raw); raw == nil {
			return penstock.Value{}, fmt.Sprintf("the server sent %d elements for one", v.ArrayLength())
		}
	} else if element {
		return penstock.Value{}, "it is no array, and index asks for an element"
	}
	if value, ok := number(raw); ok {
		return value, ""
	}
	text, ok := textOf(raw)
	switch {
	case !ok:
		return penstock.Value{}, fmt.Sprintf("it is of the type %s, which no point can hold", typeName(raw))
	case len(text) > penstock.MaxText:
		return penstock.Value{}, fmt.Sprintf("its text has %d bytes, more than %d", len(text), penstock.MaxText)
	case !utf8.ValidString(text):
		return penstock.Value{}, "its text is not valid UTF-8"
	}
	return penstock.TextValue(text), ""
}

func number(raw any) (penstock.Value, bool) {
	switch x := raw.(type) {
	case bool:
		return penstock.BoolValue(x), true
	case float32:
		return penstock.FloatValue(float64(x)), true
	case float64:
		return penstock.FloatValue(x), true
	case int8:
		return penstock.IntValue(int64(x)), true
	case int16:
		return penstock.IntValue(int64(x)), true
	case int32:
		return penstock.IntValue(int64(x)), true
	case int64:
		return penstock.IntValue(x), true
	case uint8:
		return penstock.UintValue(uint64(x)), true
	case uint16:
		return penstock.UintValue(uint64(x)), true
	case uint32:
		return penstock.UintValue(uint64(x)), true
	case uint64:
		return penstock.UintValue(x), true
	case ua.StatusCode:
		return penstock.UintValue(uint64(x)), true
	}
	return penstock.Value{}, false
}

func textOf(raw any) (string, bool) {
	switch x := raw.(type) {
	case string:
		return x, true
	case *ua.LocalizedText:
		if x != nil {
			return x.Text, true
		}
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano), true
	case *ua.GUID:
		if x != nil {
			return x.String(), true
		}
	}
	return "", false
}

// only returns the one element of an array of a scalar type, nil for others.
func only(raw any) any {
	switch x := raw.(type) {
	case []bool:
		return first(x)
	case []float32:
		return first(x)
	case []float64:
		return first(x)
	case []int8:
		return first(x)
	case []int16:
		return first(x)
	case []int32:
		return first(x)
	case []int64:
		return first(x)
	case ua.ByteArray:
		return first(x)
	case []uint16:
		return first(x)
	case []uint32:
		return first(x)
	case []uint64:
		return first(x)
	case []string:
		return first(x)
	case []time.Time:
		return first(x)
	case []*ua.LocalizedText:
		return first(x)
	}
	return nil
}

func first[T any](list []T) any {
	if len(list) != 1 {
		return nil
	}
	return list[0]
}

func typeName(raw any) string {
	return strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", raw), "*"), "ua.")
}
