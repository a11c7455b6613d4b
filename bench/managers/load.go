package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// load asks an address over and over, half of its callers over connections that
// they keep.
type load struct {
	stop func()
	work sync.WaitGroup

	mu      sync.Mutex
	asked   int
	failed  int
	longest time.Duration
}

const (
	callers = 8
	pause   = 5 * time.Millisecond
)

func newLoad(address string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel}
	for i := range callers {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		l.work.Go(func() {
			defer client.CloseIdleConnections()
			for tick := time.NewTicker(pause); ctx.Err() == nil; <-tick.C {
				l.ask(client, address)
			}
		})
	}
	return l
}

func (l *load) ask(client *http.Client, address string) {
	began := time.Now()
	// A POST is sent once: the client may not try it again by itself.
	response, err := client.Post("http://"+address+"/", "text/plain", io.NopCloser(strings.NewReader("x")))
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		err = errors.Join(err, response.Body.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if err != nil {
		l.failed++
	}
	l.longest = max(l.longest, time.Since(began))
}

// end waits for the last answers.
func (l *load) end() error {
	l.stop()
	l.work.Wait()
	if l.asked == 0 {
		return errors.New("nothing was asked")
	}
	return nil
}

func kill(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

func overlap(a, b []int) bool {
	return slices.ContainsFunc(a, func(pid int) bool { return slices.Contains(b, pid) })
}

// residentOf returns the memory of a process in bytes.
func residentOf(pid int) (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
