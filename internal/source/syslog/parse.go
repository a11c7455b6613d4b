package syslog

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/rfc3164"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/penstock/penstock"
)

// message is what a line says.
type message struct {
	priority uint8 // facility × 8 + severity
	at       time.Time
	host     string
	app      string
	text     string
}

// parser reads messages of both standards. It belongs to one goroutine.
type parser struct {
	modern, old syslog.Machine
}

func newParser(zone *time.Location, now func() time.Time) *parser {
	return &parser{
		modern: rfc5424.NewParser(rfc5424.WithBestEffort()),
		old: rfc3164.NewParser(rfc3164.WithBestEffort(), rfc3164.WithYear(yearOf{now, zone}), rfc3164.WithLocaleTimezone(zone),
			rfc3164.WithLenientDay(), rfc3164.WithRFC3339(), rfc3164.WithSecondFractions()),
	}
}

// yearOf gives times without a year the one of the gateway's clock.
type yearOf struct {
	now  func() time.Time
	zone *time.Location
}

// Apply implements rfc3164.YearOperator.
func (y yearOf) Apply() int { return y.now().In(y.zone).Year() }

// parse reads one message. What is missing stays empty; only a message without a
// priority or without text is refused.
func (p *parser) parse(line []byte) (message, error) {
	line = bytes.TrimRight(line, "\r\n\x00")
	if len(line) == 0 {
		return message{}, penstock.Errorf(penstock.Invalid, "an empty message")
	}
	priority, behind, ok := cutPriority(line)
	if !ok {
		return message{}, penstock.Errorf(penstock.Invalid, "is no syslog message: it must begin with its priority, <0> to <191>")
	}
	var m message
	if modern, found := bytes.CutPrefix(behind, []byte("1 ")); found {
		m = p.parseModern(modern)
	} else if parsed, _ := p.old.Parse(line); parsed != nil { // best effort: what could be read is there beside the error
		m = fromBase(parsed.(*rfc3164.SyslogMessage).Base)
	}
	m.priority = priority
	if m.text == "" {
		// Half of the devices keep to no standard behind the priority.
		rest := string(behind)
		m = message{priority: priority, text: text(&rest)}
	}
	if m.text == "" {
		return m, penstock.Errorf(penstock.Invalid, "has no text")
	}
	return m, nil
}

// cutPriority cuts <PRI> off.
func cutPriority(line []byte) (priority uint8, behind []byte, ok bool) {
	digits, behind, found := bytes.Cut(line[:min(len(line), 5)], []byte(">"))
	if !found || len(digits) < 2 || digits[0] != '<' {
		return 0, nil, false
	}
	n, err := strconv.ParseUint(string(digits[1:]), 10, 8)
	return uint8(n), line[len(digits)+1:], err == nil && n <= 191
}

// parseModern reads what stands behind <PRI>1 in RFC 5424. The standard has
// microseconds and its parser refuses more, but devices send nanoseconds.
func (p *parser) parseModern(rest []byte) message {
	stamp, behind, _ := bytes.Cut(rest, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err == nil {
		stamp = []byte("-")
	}
	parsed, _ := p.modern.Parse(slices.Concat([]byte("<14>1 "), stamp, []byte(" "), behind)) // best effort, as above
	if parsed == nil {
		return message{}
	}
	m := fromBase(parsed.(*rfc5424.SyslogMessage).Base)
	m.at = at
	return m
}

func fromBase(b syslog.Base) message {
	m := message{host: text(b.Hostname), app: text(b.Appname), text: text(b.Message)}
	if b.Timestamp != nil {
		m.at = *b.Timestamp
	}
	return m
}

// text returns valid UTF-8 on the longest prefix that a value may have.
func text(s *string) string {
	if s == nil {
		return ""
	}
	clean := strings.ToValidUTF8(strings.TrimPrefix(*s, "\ufeff"), "\ufffd")
	for len(clean) > penstock.MaxText {
		_, size := utf8.DecodeLastRuneInString(clean)
		clean = clean[:len(clean)-size]
	}
	return strings.Clone(clean)
}
