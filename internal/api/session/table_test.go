package session_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/session"
)

type clock struct{ now time.Time }

func table(o session.Options) (*session.Table, *clock) {
	c := &clock{time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)}
	o.Now = func() time.Time { return c.now }
	return session.New(o), c
}

func begin(t *testing.T, s *session.Table, credential string) string {
	t.Helper()
	id, _, err := s.Open(credential, "token of "+credential)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestASessionEndsByItself(t *testing.T) {
	s, c := table(session.Options{Life: 3 * time.Hour, Idle: time.Hour})
	idle, used := begin(t, s, "a"), begin(t, s, "b")
	for range 4 {
		c.now = c.now.Add(40 * time.Minute)
		if token, ok := s.Token(used); !ok || token != "token of b" {
			t.Fatalf("%v: %q %v", c.now, token, ok)
		}
	}
	if _, ok := s.Token(idle); ok {
		t.Error("one that nobody used for an hour is still open")
	}
	c.now = c.now.Add(20 * time.Minute)
	if _, ok := s.Token(used); ok {
		t.Error("one is still open after its whole life")
	}
	if s.Len() != 0 {
		t.Errorf("%d are kept", s.Len())
	}
}

func TestTheTableIsBounded(t *testing.T) {
	s, c := table(session.Options{Sessions: 5, Each: 2})
	full := func(credential string) {
		t.Helper()
		if _, _, err := s.Open(credential, "x"); penstock.CodeOf(err) != penstock.Limited || penstock.RetryAfterOf(err) <= 0 {
			t.Errorf("%s: %v", credential, err)
		}
	}
	first := begin(t, s, "a")
	begin(t, s, "a")
	full("a")
	for i := range 3 {
		begin(t, s, fmt.Sprint(i))
	}
	full("b")
	s.Close(first)
	s.Close("never there")
	begin(t, s, "b")
	full("c")
	c.now = c.now.Add(24 * time.Hour)
	begin(t, s, "c")
	if s.Len() != 1 {
		t.Errorf("%d are kept", s.Len())
	}
}

func TestIDsDiffer(t *testing.T) {
	s, _ := table(session.Options{})
	seen := map[string]bool{}
	for i := range 100 {
		id := begin(t, s, fmt.Sprint(i))
		if len(id) < 43 || seen[id] {
			t.Fatalf("%q", id)
		}
		seen[id] = true
	}
}

func TestALinkDoesOnce(t *testing.T) {
	s, c := table(session.Options{Links: 2, LinkLife: time.Minute})
	link := func(token string) string {
		t.Helper()
		code, ends, err := s.Link(token)
		if err != nil || !ends.Equal(c.now.Add(time.Minute)) {
			t.Fatal(ends, err)
		}
		return code
	}
	a, b := link("a"), link("b")
	if _, _, err := s.Link("c"); penstock.CodeOf(err) != penstock.Limited || penstock.RetryAfterOf(err) <= 0 {
		t.Errorf("a third: %v", err)
	}
	if token, ok := s.Redeem(a); !ok || token != "a" {
		t.Errorf("%q %v", token, ok)
	}
	if _, ok := s.Redeem(a); ok {
		t.Error("it did twice")
	}
	if _, ok := s.Redeem("never there"); ok {
		t.Error("a code that was made up did")
	}
	c.now = c.now.Add(time.Minute)
	if _, ok := s.Redeem(b); ok {
		t.Error("one that is too old did")
	}
	link("c")
	link("d") // those that are over take no room
}
