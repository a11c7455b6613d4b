// Package wake lets any number of goroutines wait until something is so.
package wake

import (
	"context"
	"sync"
)

// All wakes all that wait. It is safe for concurrent use.
type All struct {
	mu sync.Mutex
	ch chan struct{}
}

// Until returns when check says that it is done, or an error. It asks again after each
// [All.Tell], and ends with ctx, whose error it then returns.
func (a *All) Until(ctx context.Context, check func() (done bool, err error)) error {
	for {
		news := a.next()
		if done, err := check(); done || err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *All) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ch == nil {
		a.ch = make(chan struct{})
	}
	return a.ch
}

// Tell wakes all that wait.
func (a *All) Tell() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ch != nil {
		close(a.ch)
		a.ch = nil
	}
}
