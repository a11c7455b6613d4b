package evidence_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/evidence"
)

// What is told of a book makes another equal to it.
func TestAToldBookCanBeWrittenDownElsewhere(t *testing.T) {
	there := newBook()
	here := evidence.NewToldBook(func() time.Time { return noon }, there.Note)
	for _, p := range []*evidence.Page{here.Port("line-3"), here.Controller("pump-17")} {
		p.Add(evidence.Received, 3)
		p.Count(evidence.Timeout)
		p.Bad(evidence.Checksum, make([]byte, 5000), "the CRC is another")
		p.Bad(evidence.Malformed, nil, "no bytes")
		p.Signal(evidence.RSSI, -71)
		p.Peer("192.0.2.1:4")
	}
	for _, books := range [][2][]evidence.Summary{{here.Ports(), there.Ports()}, {here.Controllers(), there.Controllers()}} {
		if !reflect.DeepEqual(books[0], books[1]) || len(books[0]) != 1 {
			t.Errorf("%+v is not %+v", books[1], books[0])
		}
	}
	a, b := here.Port("line-3").BadFrames(), there.Port("line-3").BadFrames()
	if !reflect.DeepEqual(a, b) || b[0].Size != 5000 {
		t.Errorf("%+v is not %+v", b, a)
	}
}

func TestANoteThatMakesNoSenseIsLeftOut(t *testing.T) {
	b := newBook()
	b.Note(evidence.Note{Port: true, Name: "p", Event: 200, Count: 1})
	b.Note(evidence.Note{Port: true, Name: "p", What: 200, Event: evidence.Received, Count: 1})
	for _, s := range b.Ports() {
		if len(s.Counts) > 0 {
			t.Errorf("%+v", s)
		}
	}
}
