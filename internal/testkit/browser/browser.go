// Package browser drives a real browser from tests: Chromium, headless, over the
// DevTools protocol on a pair of pipes.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// patience bounds one command, and one wait for a condition.
const patience = 20 * time.Second

// Browser is one process of Chromium with a profile of its own.
type Browser struct {
	t     testing.TB
	to    io.WriteCloser
	write sync.Mutex // guards to

	mu      sync.Mutex // guards what follows
	last    int
	waiting map[int]chan message
	over    error
	events  map[string][]string // by session, what pages said on their console
}

// message is what goes over the pipes, in both directions.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// Start starts a browser that ends with the test. Without Chromium the test fails
// and says how to bring it.
func Start(t testing.TB) *Browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test needs Chromium: run 'make tools', or install the package chromium")
	}
	theirs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars", "--ignore-certificate-errors",
		"--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, ours} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	ours.Close()
	b := &Browser{t: t, to: to, waiting: map[int]chan message{}, events: map[string][]string{}}
	var reading sync.WaitGroup
	reading.Go(func() { b.read(from) })
	t.Cleanup(func() {
		to.Close()
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // with the signal, as was asked for
		from.Close()
		reading.Wait()
	})
	return b
}

// read hands answers to who waits for them until the browser has ended.
func (b *Browser) read(from io.Reader) {
	r := bufio.NewReader(from)
	for {
		raw, err := r.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(raw[:len(raw)-1], &m)
		}
		b.mu.Lock()
		if err != nil {
			b.over = fmt.Errorf("the browser has ended: %w", err)
			for _, c := range b.waiting {
				close(c)
			}
			b.waiting = nil
			b.mu.Unlock()
			return
		}
		if c := b.waiting[m.ID]; c != nil {
			delete(b.waiting, m.ID)
			c <- m
		} else if text := said(m); text != "" {
			b.events[m.Session] = append(b.events[m.Session], text)
		}
		b.mu.Unlock()
	}
}

// said returns what an event says went wrong on a page, empty for nothing.
func said(m message) string {
	switch m.Method {
	case "Runtime.exceptionThrown":
		return "exception: " + string(m.Params)
	case "Log.entryAdded":
		var p struct {
			Entry struct{ Level, Text, URL string }
		}
		if json.Unmarshal(m.Params, &p) == nil && p.Entry.Level == "error" {
			return p.Entry.Text + " " + p.Entry.URL
		}
	}
	return ""
}

// call sends a command and waits for its answer.
func (b *Browser) call(session, method string, params, into any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	if b.over != nil {
		defer b.mu.Unlock()
		return b.over
	}
	b.last++
	id := b.last
	b.waiting[id] = answer
	b.mu.Unlock()
	text, err := json.Marshal(message{ID: id, Session: session, Method: method, Params: raw})
	if err != nil {
		return err
	}
	b.write.Lock()
	_, err = b.to.Write(append(text, 0))
	b.write.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return errors.New("the browser has ended")
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case into == nil:
			return nil
		}
		return json.Unmarshal(m.Result, into)
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer within %v", method, patience)
	}
}
