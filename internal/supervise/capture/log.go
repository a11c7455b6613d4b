package capture

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Destination takes lines. It is called by one goroutine at a time.
type Destination interface {
	Write(l *Line) error
	Close() error
}

// The limits of a [Log].
const (
	maxQueue  = 4096 // lines that wait for the destination
	maxRecent = 2048 // lines that are kept for those who ask
	maxBytes  = 1 << 20
)

// Log takes lines from many programs. Its methods are safe for concurrent use.
type Log struct {
	least Severity
	now   func() time.Time
	queue chan *Line

	mu      sync.Mutex // guards what is below
	recent  []*Line
	bytes   int
	lost    int
	trouble error         // of the destination, since it last took a line
	news    chan struct{} // closed at each new line
	total   int           // lines ever kept
}

// New returns a log for lines that are at least as bad as least.
func New(least Severity, now func() time.Time) *Log {
	return &Log{least: least, now: now, queue: make(chan *Line, maxQueue), news: make(chan struct{})}
}

// Add takes a line. It never blocks: when the destination is behind, the line is
// still shown to those who ask, and counted as lost for the destination.
func (l *Log) Add(line Line) {
	if line.Severity > l.least {
		return
	}
	line.Time = l.now()
	l.mu.Lock()
	l.recent = append(l.recent, &line)
	l.bytes += len(line.Text)
	l.total++
	drop := 0
	for len(l.recent)-drop > maxRecent || l.bytes > maxBytes {
		l.bytes -= len(l.recent[drop].Text)
		l.recent[drop] = nil
		drop++
	}
	l.recent = l.recent[drop:]
	close(l.news)
	l.news = make(chan struct{})
	select {
	case l.queue <- &line:
	default:
		l.lost++
	}
	l.mu.Unlock()
}

// Run writes the lines to the destination until ctx ends and the last is written,
// and closes it.
func (l *Log) Run(ctx context.Context, to Destination) error {
	for {
		select {
		case line := <-l.queue:
			l.write(to, line)
		case <-ctx.Done():
			for {
				select {
				case line := <-l.queue:
					l.write(to, line)
				default:
					return to.Close()
				}
			}
		}
	}
}

// write writes a line, and before it how many could not be.
func (l *Log) write(to Destination, line *Line) {
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	var err error
	if lost > 0 {
		err = to.Write(&Line{
			Time: l.now(), Severity: Warning, Program: "supervise", PID: os.Getpid(),
			Text: fmt.Sprintf("%d lines of programs are missing here: they came faster than they could be written, or could not be", lost),
		})
		if err == nil {
			l.mu.Lock()
			l.lost -= lost
			l.mu.Unlock()
		}
	}
	if err == nil {
		err = to.Write(line)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = err
	if err != nil {
		l.lost++
	}
}

// Trouble returns why the destination takes nothing at the moment, nil when it
// does, and how many lines it is missing.
func (l *Log) Trouble() (lost int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost, l.trouble
}

// Show shows the last n lines that match, and when follow is true those that come
// until ctx ends. It ends with the error of show.
func (l *Log) Show(ctx context.Context, n int, follow bool, match func(*Line) bool, show func(*Line) error) error {
	l.mu.Lock()
	lines, seen, news := l.since(0), l.total, l.news
	l.mu.Unlock()
	var last []*Line
	for _, line := range lines {
		if match(line) {
			last = append(last, line)
		}
	}
	last = last[max(0, len(last)-n):]
	for {
		for _, line := range last {
			if err := show(line); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
		l.mu.Lock()
		lines, seen, news = l.since(seen), l.total, l.news
		l.mu.Unlock()
		last = last[:0]
		for _, line := range lines {
			if match(line) {
				last = append(last, line)
			}
		}
	}
}

// since returns the lines after the first seen ones that are still kept. l.mu is
// held.
func (l *Log) since(seen int) []*Line {
	from := max(0, len(l.recent)-(l.total-seen))
	return append([]*Line(nil), l.recent[from:]...)
}
