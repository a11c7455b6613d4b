package evidence

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of a book. What is beyond them is counted on a page named [Others], so
// that no sender can make the book grow by inventing names.
const (
	MaxPorts       = 4096
	MaxControllers = 1 << 17
	maxKeptBytes   = 16 << 20 // of bad frames altogether

	// Others is the name of the page for what found no room of its own.
	Others = "(others)"
)

// Book holds the pages of all ports and controllers. It is safe for concurrent
// use.
type Book struct {
	now    func() time.Time
	tell   func(Note) // nil for nobody
	kept   budget
	mu     sync.RWMutex // guards the maps
	ports  map[string]*Page
	things map[string]*Page // controllers
}

// NewBook returns an empty book. The clock gives the times of what is noted.
func NewBook(now func() time.Time) *Book {
	return &Book{now: now, kept: budget{left: maxKeptBytes}, ports: map[string]*Page{}, things: map[string]*Page{}}
}

// Port returns the page of a port, by the name of its source and, where a source
// has several, the port's own behind a slash.
func (b *Book) Port(name string) *Page { return b.page(b.ports, name, true) }

// Controller returns the page of a controller.
func (b *Book) Controller(name string) *Page { return b.page(b.things, name, false) }

func (b *Book) page(pages map[string]*Page, name string, port bool) *Page {
	b.mu.RLock()
	p := pages[name]
	b.mu.RUnlock()
	if p != nil {
		return p
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := MaxControllers
	if port {
		limit = MaxPorts
	}
	if len(pages) >= limit && pages[name] == nil {
		name = Others
	}
	if p = pages[name]; p == nil {
		p = &Page{name: strings.Clone(name), port: port, now: b.now, tell: b.tell, kept: &b.kept}
		pages[p.name] = p
	}
	return p
}

// Ports returns what is known of all ports, by name.
func (b *Book) Ports() []Summary { return b.all(b.ports) }

// Controllers returns what is known of all controllers, by name.
func (b *Book) Controllers() []Summary { return b.all(b.things) }

func (b *Book) all(pages map[string]*Page) []Summary {
	b.mu.RLock()
	list := make([]*Page, 0, len(pages))
	for _, p := range pages {
		list = append(list, p)
	}
	b.mu.RUnlock()
	slices.SortFunc(list, func(a, b *Page) int { return strings.Compare(a.name, b.name) })
	summaries := make([]Summary, len(list))
	for i, p := range list {
		summaries[i] = p.Summary()
	}
	return summaries
}

// FindController returns the page of a controller that has one already.
func (b *Book) FindController(name string) (*Page, bool) { return b.find(b.things, name) }

// FindPort returns the page of a port that has one already.
func (b *Book) FindPort(name string) (*Page, bool) { return b.find(b.ports, name) }

func (b *Book) find(pages map[string]*Page, name string) (*Page, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p, ok := pages[name]
	return p, ok
}

// budget bounds the bytes that all pages keep of bad frames.
type budget struct {
	mu   sync.Mutex
	left int
}

func (b *budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

func (b *budget) give(n int) {
	b.mu.Lock()
	b.left += n
	b.mu.Unlock()
}
