package syslog

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// Whatever comes, the parser ends, and what it gives can stand in a sample.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`<165>1 2026-02-28T22:14:15.003Z host app 77 ID47 [x@1 y="z"] text`))
	f.Add([]byte(`<34>Feb 28 22:14:15 modem-9 kernel: carrier lost`))
	f.Add([]byte("<0>"))
	f.Add([]byte("<13>1 - - - - - -"))
	p := newParser(time.UTC, func() time.Time { return time.Unix(1_700_000_000, 0) })
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := p.parse(line)
		if err != nil {
			return
		}
		if m.text == "" || len(m.text) > penstock.MaxText || !utf8.ValidString(m.host+m.app+m.text) {
			t.Errorf("%q gives %+v", line, m)
		}
	})
}

// Whatever a stream holds, it ends, and no message is larger than it may be.
func FuzzFrames(f *testing.F) {
	f.Add("<14>one\n12 <14>1234567\n<14>x")
	f.Add("99999999 ")
	f.Fuzz(func(t *testing.T, stream string) {
		in := newFrames(strings.NewReader(stream))
		for {
			line, err := in.next()
			if err != nil {
				return
			}
			if len(line) > maxMessage || !strings.Contains(stream, string(bytes.Clone(line))) {
				t.Errorf("%q is not in the stream", line)
			}
		}
	})
}

// trickle is a stream that comes a few bytes at a time.
type trickle struct {
	stream string
	at     int
}

func (r *trickle) Read(b []byte) (int, error) {
	if r.at == len(r.stream) {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+r.at%700)], r.stream[r.at:])
	r.at += n
	return n, nil
}

// A connection takes the memory that its messages need, and gives it back.
func TestFramesGrowOnDemand(t *testing.T) {
	long := "<14>" + strings.Repeat("x", 40_000)
	in := newFrames(&trickle{stream: "<14>short\n" + long + "\n" + fmt.Sprintf("%d %s", len(long), long) + "<14>again\n<14>last"})
	for i, want := range []struct {
		line string
		most int
	}{{"<14>short", firstBuffer}, {long, maxMessage}, {long, maxMessage}, {"<14>again", maxMessage}, {"<14>last", maxMessage}} {
		line, err := in.next()
		if err != nil || string(line) != want.line {
			t.Fatalf("message %d is %.20q with %d bytes, error %v", i, line, len(line), err)
		}
		if len(in.room) > want.most {
			t.Errorf("for message %d it holds %d bytes", i, len(in.room))
		}
	}
	if _, err := in.next(); err != io.EOF || len(in.room) > firstBuffer {
		t.Errorf("at the end: %v, and it holds %d bytes", err, len(in.room))
	}
}

func TestALineThatIsTooLongEnds(t *testing.T) {
	line, err := newFrames(&trickle{stream: strings.Repeat("x", 2*maxMessage)}).next()
	if penstock.CodeOf(err) != penstock.TooLarge || len(line) != maxMessage {
		t.Errorf("%d bytes with error %v", len(line), err)
	}
	if _, err := newFrames(strings.NewReader("65537 ")).next(); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("a message that is announced too long: %v", err)
	}
}
