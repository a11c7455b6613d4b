package syslog

import (
	"bytes"
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
