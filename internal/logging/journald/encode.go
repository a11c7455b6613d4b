// Package journald writes log lines into the journal of systemd, in its native
// protocol: a field for each attribute, and a sealed memory file for entries that
// fit into no datagram.
package journald

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"

	"github.com/penstock/penstock/internal/logging/flat"
)

// Socket is where the journal listens.
const Socket = "/run/systemd/journal/socket"

// maxName is the journal's limit for the name of a field.
const maxName = 64

// Encoder returns the function that encodes lines as entries of the journal.
func Encoder(program string) flat.Encode {
	return func(dst []byte, l flat.Line) []byte {
		dst = appendField(dst, "MESSAGE", l.Message)
		dst = appendField(dst, "PRIORITY", priority(l.Level))
		dst = appendField(dst, "SYSLOG_IDENTIFIER", program)
		dst = appendField(dst, "PENSTOCK_TIMESTAMP", fmt.Sprint(l.Time.UnixMicro()))
		for _, f := range l.Fields {
			dst = appendField(dst, name(f.Key), f.Value)
		}
		return dst
	}
}

func priority(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "7"
	case l < slog.LevelWarn:
		return "6"
	case l < slog.LevelError:
		return "4"
	}
	return "3"
}

// name makes the name of a field: upper case, and PENSTOCK_ before it, so that it
// hides none that the journal knows.
func name(key string) string {
	s := "PENSTOCK_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	return s[:min(len(s), maxName)]
}

// appendField appends a field: as a line, or with its length where it has several.
func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	if strings.Contains(value, "\n") {
		dst = append(dst, '\n')
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(value)))
	} else {
		dst = append(dst, '=')
	}
	dst = append(dst, value...)
	return append(dst, '\n')
}
