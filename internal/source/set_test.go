package source_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
)

// journal notes what happens to the sources of a test.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) take() (lines []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines, j.lines = j.lines, nil
	return lines
}

// tube is a source that does what its configuration says.
type tube struct {
	journal *journal
	name    string
	run     func(ctx context.Context) error
}

func (t tube) Run(ctx context.Context, _ penstock.Handler) error {
	t.journal.note("begin " + t.name)
	defer t.journal.note("end " + t.name)
	return t.run(ctx)
}

type config struct{ Speed int }

func untilStopped(ctx context.Context) error { <-ctx.Done(); return nil }

func (j *journal) spec(name string, speed int, run func(context.Context) error) source.Spec {
	return source.Spec{Name: name, Config: &config{speed}, New: func(source.Env) (penstock.Source, error) {
		return tube{j, name, run}, nil
	}}
}

type status struct {
	journal *journal
	name    string
}

func (s status) OK()                { s.journal.note("ok " + s.name) }
func (s status) Failing(why string) { s.journal.note("failing " + s.name + ": " + why) }

func run(t *testing.T, j *journal) (*source.Set, func()) {
	s := source.NewSet(source.Options{
		Env: source.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now},
		Status: func(name string) (source.Status, func()) {
			return status{j, name}, func() { j.note("gone " + name) }
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, func() { cancel(); work.Wait() }
}

func TestApplyTouchesOnlyWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		s, stop := run(t, j)
		s.Apply([]source.Spec{j.spec("a", 1, untilStopped), j.spec("b", 1, untilStopped)})
		synctest.Wait()
		if got := j.take(); len(got) != 2 {
			t.Fatalf("at the start: %q", got)
		}
		s.Apply([]source.Spec{j.spec("a", 1, untilStopped), j.spec("b", 2, untilStopped)})
		synctest.Wait()
		want(t, j.take(), "end b", "gone b", "begin b")
		s.Apply([]source.Spec{j.spec("a", 1, untilStopped)})
		synctest.Wait()
		want(t, j.take(), "end b", "gone b")
		stop()
		want(t, j.take(), "end a")
	})
}

func TestAFailedSourceComesBackLaterEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		s, stop := run(t, j)
		defer stop()
		begun := time.Now()
		var starts []time.Duration
		s.Apply([]source.Spec{
			j.spec("good", 1, untilStopped),
			j.spec("bad", 1, func(context.Context) error {
				starts = append(starts, time.Since(begun))
				if len(starts) == 2 {
					panic("the decoder lost its way")
				}
				return errors.New("the line is dead")
			}),
		})
		time.Sleep(10 * time.Minute) // of the bubble's clock
		synctest.Wait()
		if len(starts) < 10 || len(starts) > 25 {
			t.Fatalf("%d starts in ten minutes", len(starts))
		}
		for i := 1; i < len(starts); i++ {
			if gap := starts[i] - starts[i-1]; gap < 500*time.Millisecond || gap > time.Minute {
				t.Errorf("start %d came %v after the one before", i, gap)
			}
		}
		ends := 0
		for _, line := range j.take() {
			if line == "end good" {
				ends++
			}
		}
		if ends > 0 {
			t.Error("the good source ended with the bad one")
		}
	})
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%q happened, not %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%q happened, not %q", got, want)
		}
	}
}

// A source remembers over its failures, but not over a panic or another
// configuration.
func TestMemoryOutlivesAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		s, stop := run(t, j)
		defer stop()
		runs, memories := 0, 0
		spec := func(speed int) source.Spec {
			return source.Spec{Name: "a", Config: &config{speed}, New: func(env source.Env) (penstock.Source, error) {
				number, err := source.Remembered(env, func() (int, error) { memories++; return memories, nil })
				j.note(fmt.Sprint("made with ", number))
				return tube{&journal{}, "a", func(ctx context.Context) error {
					switch runs++; runs {
					case 1:
						return errors.New("the line is dead")
					case 2:
						panic("it lost its way")
					}
					return untilStopped(ctx)
				}}, err
			}}
		}
		s.Apply([]source.Spec{spec(1)})
		time.Sleep(time.Minute)
		synctest.Wait()
		s.Apply([]source.Spec{spec(2)})
		time.Sleep(time.Minute)
		synctest.Wait()
		var made []string
		for _, line := range j.take() {
			if strings.HasPrefix(line, "made") {
				made = append(made, line)
			}
		}
		want(t, made, "made with 1", "made with 1", "made with 2", "made with 3")
	})
}
