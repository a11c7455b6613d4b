package store

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/penstock/penstock"
)

// life is whether the store may still be used, and who uses it.
type life struct {
	log  *slog.Logger
	dead chan struct{} // closed at death

	mu     sync.RWMutex
	closed bool
	cause  error // of death, or nil
	calls  sync.WaitGroup
}

func newLife(log *slog.Logger) *life {
	return &life{log: log, dead: make(chan struct{})}
}

// die marks the store dead. Only the first cause counts.
func (l *life) die(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return
	}
	l.cause = penstock.Errorf(penstock.Unavailable, "the store stopped after a failed write, restart when the disk is well again: %w", cause)
	l.log.Error("store is dead", "cause", cause)
	close(l.dead)
}

func (l *life) death() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.cause
}

// close refuses new calls and waits for those under way, unless the store is
// dead. Then, and at the first call only, it runs shut.
func (l *life) close(shut func() error) error {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if again {
		return nil
	}
	result := make(chan error, 1)
	var owner sync.WaitGroup
	owner.Go(func() {
		l.calls.Wait()
		result <- shut()
	})
	select {
	case err := <-result:
		return err
	case <-l.dead:
		return l.death()
	}
}

// run calls fn, which enters Pebble, on a goroutine of its own. When the store
// dies before fn ends, fn may go on or be parked for ever: it must touch nothing
// that its caller uses after an error.
func run[T any](l *life, fn func() (T, error)) (T, error) {
	var none T
	l.mu.RLock()
	err := l.cause
	if l.closed {
		err = penstock.Errorf(penstock.Closed, "the store is closed")
	}
	if err != nil {
		l.mu.RUnlock()
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	l.calls.Go(func() {
		value, err := fn()
		results <- result{value, err}
	})
	l.mu.RUnlock()
	select {
	case r := <-results:
		return r.value, r.err
	case <-l.dead:
		return none, l.death()
	}
}

// logger is what Pebble logs to.
type logger struct{ life *life }

func (g logger) Infof(format string, args ...any) {
	g.life.log.Debug("pebble", "text", fmt.Sprintf(format, args...))
}

func (g logger) Errorf(format string, args ...any) {
	g.life.log.Error("pebble", "text", fmt.Sprintf(format, args...))
}

// Fatalf never returns: see the package comment.
func (g logger) Fatalf(format string, args ...any) {
	g.life.die(fmt.Errorf(format, args...))
	park()
}

func park() { select {} }
