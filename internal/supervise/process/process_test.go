package process_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/supervise/process"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// keeper returns a keeper that runs until the test ends.
func keeper(t *testing.T) *process.Keeper {
	t.Helper()
	k, err := process.NewKeeper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { k.Run(ctx) })
	t.Cleanup(func() {
		if err := k.Kill(ctx, ""); err != nil {
			t.Error(err)
		}
		stop()
		work.Wait()
		if _, err := k.Start(context.Background(), process.Spec{Path: "/bin/true"}, nil); penstock.CodeOf(err) != penstock.Closed {
			t.Errorf("a keeper that ended starts: %v", err)
		}
	})
	return k
}

// shell starts a script and returns its process and a function that waits for
// its end.
func shell(t *testing.T, k *process.Keeper, mark, script string) (pid int, wait func() process.Exit) {
	t.Helper()
	exits := make(chan process.Exit, 1)
	pid, err := k.Start(t.Context(), process.Spec{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Environ: os.Environ(), Files: []int{0, 1, 2}, Mark: mark,
	}, func(e process.Exit) { exits <- e })
	if err != nil {
		t.Fatal(err)
	}
	return pid, func() process.Exit { return <-exits }
}

func TestEnds(t *testing.T) {
	k := keeper(t)
	for script, want := range map[string]string{
		"exit 0": "exit status 0", "exit 7": "exit status 7", "kill -KILL $$": "killed by SIGKILL", "kill -TERM $$": "killed by SIGTERM",
	} {
		_, wait := shell(t, k, "a", script)
		if got := wait().String(); got != want {
			t.Errorf("%s: %s", script, got)
		}
	}
	pid, wait := shell(t, k, "a", "sleep 60")
	if session, err := syscall.Getpgid(pid); err != nil || session != pid {
		t.Errorf("Ctrl-C at the terminal would reach it: %d, %v", session, err)
	}
	if err := k.Signal(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wait()
	if err := k.Signal(pid, syscall.SIGKILL); err != nil {
		t.Errorf("a process that ended can be sent anything: %v", err)
	}
	if _, err := k.Start(t.Context(), process.Spec{Path: "/nowhere/at/all"}, nil); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") {
		t.Errorf("a program that is not there: %v", err)
	}
}

// What a program leaves behind is found, counted and ended, whatever session it
// went into, and whoever else runs is left alone.
func TestATreeIsKilledAndItsOrphansReaped(t *testing.T) {
	k := keeper(t)
	_, waitOther := shell(t, k, "other", "while :; do sleep 300; done")
	_, wait := shell(t, k, "tree", "setsid sh -c 'sleep 300 & sleep 300' & (sleep 300 &) ; exit 3")
	if e := wait(); e.Code != 3 {
		t.Fatalf("it ended with %v", e)
	}
	testkit.Eventually(t, func() bool { return k.Usage()["tree"].Processes >= 3 }, "the orphans to be seen")
	if u := k.Usage()["tree"]; u.Resident < 1<<16 {
		t.Errorf("three processes hold %d bytes", u.Resident)
	}
	if err := k.Kill(t.Context(), "tree"); err != nil {
		t.Fatal(err)
	}
	if u := k.Usage(); u["tree"].Processes != 0 || u["other"].Processes != 2 {
		t.Errorf("left are %+v", u)
	}
	testkit.Eventually(t, func() bool { return k.Orphans() >= 3 }, "the orphans to be reaped")
	if err := k.Kill(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if e := waitOther(); e.Signal != syscall.SIGKILL {
		t.Errorf("the other ended with %v", e)
	}
}
