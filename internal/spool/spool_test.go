package spool_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/testkit/crashfs"
)

func TestWhatGoesInComesOut(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, r := open(t, options(fs, k))
	if r.First != 1 || r.Last != 0 || !r.Clean {
		t.Fatalf("a new spool: %+v", r)
	}
	if p := put(t, s, entry("a"), entry("b")); p != 1 {
		t.Fatalf("first position %d", p)
	}
	if p := put(t, s, entry("c")); p != 3 {
		t.Fatalf("next position %d", p)
	}
	if got := texts(readAll(t, s, 0)); got != "1 a\n2 b\n3 c" {
		t.Fatal(got)
	}
	if got := texts(readAll(t, s, 2)); got != "2 b\n3 c" {
		t.Fatal(got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, r = open(t, options(fs, k))
	if r.First != 1 || r.Last != 3 || !r.Clean || r.Rewritten != 0 || len(r.Notes) != 0 {
		t.Fatalf("a spool opened again: %+v", r)
	}
	if p := put(t, s, entry("d")); p != 4 {
		t.Fatalf("position %d after opening again", p)
	}
	if got := texts(readAll(t, s, 0)); got != "1 a\n2 b\n3 c\n4 d" {
		t.Fatal(got)
	}
}

func TestRollOver(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, k))
	big := make([]byte, 5000)
	want := ""
	for i := range 60 {
		e := entry("%d", i)
		put(t, s, e, spool.Entry{Data: big, Digest: []byte("big")})
		want += fmt.Sprintf("%d %d\n%d %s\n", 2*i+1, i, 2*i+2, big)
	}
	if n := s.State().Segments; n < 5 {
		t.Fatalf("%d segments", n)
	}
	if got := texts(readAll(t, s, 0)); got+"\n" != want {
		t.Fatal("what was read is not what was written")
	}
	s.Close()
	s, _ = open(t, options(fs, k))
	if got := texts(readAll(t, s, 0)); got+"\n" != want {
		t.Fatal("what was read after opening again is not what was written")
	}
}

func TestWait(t *testing.T) {
	fs, k := crashfs.New(), newKeys(t)
	s, _ := open(t, options(fs, k))
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan penstock.Position)
	go func() {
		p, _ := s.Wait(ctx, 1)
		got <- p
	}()
	put(t, s, entry("a"))
	put(t, s, entry("b"))
	if p := <-got; p != 2 {
		t.Fatalf("waited until %d", p)
	}
	cancel()
	if _, err := s.Wait(ctx, 2); err == nil {
		t.Fatal("Wait did not end with its context")
	}
	s.Close()
	_, err := s.Wait(t.Context(), 2)
	wantCode(t, err, penstock.Closed)
	wantCode(t, (<-submit(s, entry("c"))).err, penstock.Closed)
}
