package render

import (
	"bytes"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
)

// AppendPlain appends a value as text without quotes, for CSV: none is empty.
func AppendPlain(dst []byte, v penstock.Value) []byte {
	switch v.Kind() {
	case penstock.None:
		return dst
	case penstock.Text:
		return append(dst, v.Text()...)
	}
	return unquoted(dst, func(dst []byte) []byte { return reportjson.AppendValue(dst, v) })
}

// appendPlainTime appends a time without quotes.
func appendPlainTime(dst []byte, ns int64, f reportjson.TimeFormat) []byte {
	return unquoted(dst, func(dst []byte) []byte { return reportjson.AppendTime(dst, ns, f) })
}

// unquoted appends what write appends, without the quotes around it if it has
// them. There are none inside.
func unquoted(dst []byte, write func([]byte) []byte) []byte {
	start := len(dst)
	dst = write(dst)
	plain := bytes.Trim(dst[start:], `"`)
	return append(dst[:start], plain...)
}
