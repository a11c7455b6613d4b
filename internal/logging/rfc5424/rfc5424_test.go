package rfc5424_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	syslog "github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/penstock/penstock/internal/logging/flat"
	"github.com/penstock/penstock/internal/logging/rfc5424"
	"github.com/penstock/penstock/internal/testkit"
)

func header() rfc5424.Header {
	return rfc5424.Header{Facility: 16, Host: "gate 1.example", Program: "penstock", PID: 7}
}

func encoder(t testing.TB, target string) flat.Encode {
	t.Helper()
	to, err := rfc5424.ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	return to.Encoder(header())
}

func TestMessage(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 0, 0, 123456000, time.FixedZone("", 3600))
	for want, l := range map[string]flat.Line{
		`<134>1 2026-11-22T05:00:00.123456Z gate_1.example penstock 7 - - the gateway runs`: {Level: slog.LevelInfo, Message: "the gateway runs"},
		`<131>1 2026-11-22T05:00:00.123456Z gate_1.example penstock 7 source_line-3 [penstock@32473 component="source line-3" a_b="c\"d\]e\\f g" error="no  answer"] fai led: no  answer`: {
			Level: slog.LevelError, Message: "fai\nled", Fields: []flat.Field{{Key: "component", Value: "source line-3"}, {Key: "a=b", Value: "c\"d]e\\f\ng"}, {Key: "error", Value: "no\r\nanswer"}},
		},
		`<135>1 2026-11-22T05:00:00.123456Z gate_1.example penstock 7 - - x`:  {Level: slog.LevelDebug, Message: "x"},
		`<132>1 2026-11-22T05:00:00.123456Z gate_1.example penstock 7 - - Ü🙂`: {Level: slog.LevelWarn, Message: "Ü🙂"},
	} {
		l.Time = at
		if got := string(encoder(t, "udp://h")(nil, l)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := string(encoder(t, "tcp://h")(nil, flat.Line{Time: at, Message: "x"})); !strings.HasPrefix(got, "66 <134>1 ") || len(got) != 69 {
		t.Errorf("framed: %d %s", len(got), got)
	}
}

// FuzzMessage checks that whatever is logged makes one message that a strict
// parser reads back.
func FuzzMessage(f *testing.F) {
	f.Add("message", "controller", "pump-17", "error", "no answer")
	f.Add(strings.Repeat("long ", 1000), "k", strings.Repeat("v]", 3000), "", "")
	f.Add("\xff\x00", "\xff = ]\"", "\xff\x00\n", "päth", "\u2028")
	parser := syslog.NewParser(syslog.WithCompliantMsg())
	f.Fuzz(func(t *testing.T, message, k1, v1, k2, v2 string) {
		l := flat.Line{Time: time.Unix(1, 0), Message: message, Fields: []flat.Field{{Key: k1, Value: v1}, {Key: "second", Value: "2"}, {Key: k2, Value: v2}}}
		b := encoder(t, "udp://h")(nil, l)
		if len(b) > 2048 || !utf8.Valid(b) || bytes.ContainsAny(b, "\n\r\x00") {
			t.Fatalf("%d bytes: %q", len(b), b)
		}
		if _, err := parser.Parse(b); err != nil && !strings.Contains(err.Error(), "free-form") {
			t.Fatalf("%v: %s", err, b)
		}
	})
}

func TestTargets(t *testing.T) {
	for text, want := range map[string]rfc5424.Target{
		"udp://log.example": {"udp", "log.example:514"}, "tcp://[::1]:601": {"tcp", "[::1]:601"},
		"tls://log.example": {"tls", "log.example:6514"}, "unix:///dev/log": {"unix", "/dev/log"},
		"": {}, "udp://": {}, "http://x": {}, "unix://x/dev/log": {}, "tcp://u:p@h": {}, "tcp://h/x": {}, "udp://h:0": {}, "unix:///": {},
	} {
		got, err := rfc5424.ParseTarget(text)
		if got != want || (err == nil) != (want != rfc5424.Target{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// A receiver that closes the connection is noticed before a message is written to
// nobody, and when there is nothing to send.
func TestReceiverCloses(t *testing.T) {
	for _, sending := range []bool{true, false} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		target, _ := rfc5424.ParseTarget("tcp://" + ln.Addr().String())
		s := rfc5424.NewSender(target, nil)
		ctx := context.Background()
		if err := s.Send(ctx, []byte("one")); err != nil {
			t.Fatal(err)
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "one" {
			t.Errorf("%v: %s", err, got)
		}
		conn.Close()
		testkit.Eventually(t, func() bool {
			var err error
			if sending {
				err = s.Send(ctx, []byte("two"))
			} else {
				err = s.Probe(ctx)
			}
			return err != nil && strings.Contains(err.Error(), "closed the connection")
		}, "the word that the connection is closed")
		if err := s.Probe(ctx); err != nil {
			t.Errorf("it does not connect again: %v", err)
		}
		s.Close()
		ln.Close()
	}
}

// Over UDP nobody says whether a message arrived; that nobody listens is found all
// the same, and that somebody does again.
func TestNobodyListensOnUDP(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := socket.LocalAddr().String()
	target, _ := rfc5424.ParseTarget("udp://" + address)
	s := rfc5424.NewSender(target, nil)
	defer s.Close()
	ctx := context.Background()
	if err := s.Send(ctx, []byte("one")); err != nil {
		t.Fatal(err)
	}
	socket.Close()
	testkit.Eventually(t, func() bool { return s.Send(ctx, []byte("two")) != nil }, "the word that nobody listens")
	if s.Probe(ctx) == nil || s.Send(ctx, []byte("three")) == nil {
		t.Error("it is said to be well while nobody listens")
	}
	if socket, err = net.ListenPacket("udp", address); err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := s.Send(ctx, []byte("four")); err != nil {
		t.Error(err)
	}
}
