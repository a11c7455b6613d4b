// Package rfc5424 writes log lines as syslog messages of RFC 5424, with every
// attribute in the structured data, and sends them over UDP (RFC 5426), TCP with
// octet counting (RFC 6587), TLS (RFC 5425) or a unix socket.
package rfc5424

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/logging/flat"
)

// ID is the name of the structured data. 32473 is the enterprise number that RFC
// 5612 sets aside for those who have none.
const ID = "penstock@32473"

// The bounds of a message. A receiver should take 2,048 bytes in a datagram; those
// of streams usually take 8,192.
const (
	maxDatagram = 2048
	maxStream   = 8192
	maxName     = 32
	maxHost     = 255
	maxProgram  = 48
	textShare   = 4 // the text has at least a fourth of the bytes
)

// Header is what is the same in all messages of a process.
type Header struct {
	Facility int // 0 to 23
	Host     string
	Program  string
	PID      int
}

// facilities that make sense for a service, by name.
var facilities = map[string]int{
	"": 3, "user": 1, "daemon": 3, "auth": 4,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

// ParseFacility returns the number of a facility; that of daemon for an empty name.
func ParseFacility(name string) (int, error) {
	if n, ok := facilities[name]; ok {
		return n, nil
	}
	return 0, fmt.Errorf("%q is not a facility: write daemon, user, auth, or local0 to local7", name)
}

// severity returns the severity of a level.
func severity(l slog.Level) int {
	switch {
	case l < slog.LevelInfo:
		return 7
	case l < slog.LevelWarn:
		return 6
	case l < slog.LevelError:
		return 4
	}
	return 3
}

// encoder returns the function that encodes lines into messages of at most so
// many bytes. What has no room is left out: attributes from the last one on, and
// then the end of the text.
func (h Header) encoder(most int) flat.Encode {
	host, program := token(h.Host, maxHost), token(h.Program, maxProgram)
	return func(dst []byte, l flat.Line) []byte {
		start := len(dst)
		dst = fmt.Appendf(dst, "<%d>1 ", h.Facility*8+severity(l.Level))
		dst = l.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
		dst = fmt.Appendf(dst, " %s %s %d %s ", host, program, h.PID, token(component(l.Fields), maxName))
		dst = appendData(dst, start+most-most/textShare, l.Fields)
		dst = append(dst, ' ')
		return appendText(dst, start+most, text(l))
	}
}

// component returns the part of the gateway that speaks, which is the message's id.
func component(fields []flat.Field) string {
	for _, f := range fields {
		if f.Key == "component" {
			return f.Value
		}
	}
	return ""
}

// text returns the message with the error behind it, for receivers that keep no
// structured data.
func text(l flat.Line) string {
	for _, f := range l.Fields {
		if f.Key == "error" && f.Value != "" {
			return l.Message + ": " + f.Value
		}
	}
	return l.Message
}

// token makes a header field of a text: printable ASCII without spaces, "-" for
// none.
func token(s string, most int) string {
	t := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if t == "" {
		return "-"
	}
	return t[:min(len(t), most)]
}

// name makes a parameter's name of a key.
func name(key string) string {
	return strings.Map(func(r rune) rune {
		if r == '=' || r == ']' || r == '"' {
			return '_'
		}
		return r
	}, token(key, maxName))
}

// appendData appends the structured data up to byte end of dst.
func appendData(dst []byte, end int, fields []flat.Field) []byte {
	open := false
	for _, f := range fields {
		before := len(dst)
		if !open {
			dst = append(dst, '[')
			dst = append(dst, ID...)
		}
		dst = append(dst, ' ')
		dst = append(dst, name(f.Key)...)
		dst = append(dst, '=', '"')
		dst = appendValue(dst, f.Value)
		dst = append(dst, '"')
		if len(dst) >= end {
			dst = dst[:before]
			break
		}
		open = true
	}
	if !open {
		return append(dst, '-')
	}
	return append(dst, ']')
}

// appendValue appends a parameter's value. Control characters are spaces: a
// receiver that writes lines must not see two.
func appendValue(dst []byte, value string) []byte {
	for _, r := range value {
		switch {
		case r == '"' || r == '\\' || r == ']':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			dst = append(dst, ' ')
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// appendText appends the text up to byte end of dst, in whole characters.
func appendText(dst []byte, end int, s string) []byte {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		if len(dst)+utf8.RuneLen(r) > end {
			break
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// counted returns the encoder that frames each message by its length in bytes.
func counted(encode flat.Encode) flat.Encode {
	return func(dst []byte, l flat.Line) []byte {
		message := encode(nil, l)
		dst = strconv.AppendInt(dst, int64(len(message)), 10)
		dst = append(dst, ' ')
		return append(dst, message...)
	}
}

// sendTimeout is how long a receiver may take for a line, or for a connection.
const sendTimeout = 5 * time.Second
