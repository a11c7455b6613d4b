package evidence

import "time"

// What a note is about.
const (
	counted   uint8 = iota // Event, Count
	spoiled                // Event, Frame, Size, Text: why
	peered                 // Text: the address
	signalled              // Text: the quantity, Value
)

// Note is one thing that was noted in a book, for another book that is to hold it
// too. What stands in which field is the matter of this package.
type Note struct {
	Port  bool   // about a port, not a controller
	Name  string // of the page
	What  uint8
	Event Event
	Count uint64
	Frame []byte // the first bytes of a bad frame; of no use after tell has returned
	Size  int    // bytes of all of that frame
	Text  string
	Value float64
}

// NewToldBook returns an empty book that tells of each thing that is noted in it,
// before the call that noted it returns. tell is called from many goroutines.
func NewToldBook(now func() time.Time, tell func(Note)) *Book {
	b := NewBook(now)
	b.tell = tell
	return b
}

// told tells of what was noted on the page.
func (p *Page) told(n Note) {
	if p.tell != nil {
		n.Port, n.Name = p.port, p.name
		p.tell(n)
	}
}

// Note notes what was noted in another book. What makes no sense is left out.
func (b *Book) Note(n Note) {
	if int(n.Event) >= events {
		return
	}
	page := b.Controller
	if n.Port {
		page = b.Port
	}
	switch p := page(n.Name); n.What {
	case counted:
		p.Add(n.Event, n.Count)
	case spoiled:
		p.bad(n.Event, n.Frame[:min(len(n.Frame), MaxFrame)], n.Size, n.Text)
	case peered:
		p.Peer(n.Text)
	case signalled:
		p.Signal(Quantity(n.Text), n.Value)
	}
}
