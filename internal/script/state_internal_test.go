package script

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock"
)

// All controllers together may keep so much and no more; what one gives back another
// can have.
func TestStatesAreBounded(t *testing.T) {
	s, err := OpenStates(nil)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", maxState)
	keep := func(i int, text string) error {
		h, err := s.hold(t.Context(), fmt.Sprint("pump-", i))
		if err != nil {
			t.Fatal(err)
		}
		defer h.release()
		return h.keep(text, maxState)
	}
	const room = maxStates / maxState
	for i := range room {
		if err := keep(i, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := keep(room, "x"); penstock.CodeOf(err) != penstock.Full {
		t.Errorf("one byte more: %v", err)
	}
	if err := keep(0, text+"x"); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("one byte more of one: %v", err)
	}
	if err := keep(1, ""); err != nil {
		t.Error(err)
	}
	if err := keep(room, text); err != nil {
		t.Errorf("where one gave back: %v", err)
	}
}
