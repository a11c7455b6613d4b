package modbustest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/internal/testkit"
)

// Pair plugs a serial line into two paths in dir, until unplug is called or the
// test ends. It may be plugged in again at the same place.
func Pair(t testing.TB, dir string) (near, far string, unplug func()) {
	t.Helper()
	near, far = filepath.Join(dir, "near"), filepath.Join(dir, "far")
	cmd := exec.Command("socat", "pty,raw,echo=0,link="+near, "pty,raw,echo=0,link="+far)
	if err := cmd.Start(); err != nil {
		t.Fatalf("socat makes the pair of serial lines (make tools brings it): %v", err)
	}
	unplugged := false
	unplug = func() {
		if unplugged {
			return
		}
		unplugged = true
		cmd.Process.Kill()
		cmd.Wait()
		os.Remove(near)
		os.Remove(far)
	}
	t.Cleanup(unplug)
	testkit.Eventually(t, func() bool {
		_, errNear := os.Stat(near)
		_, errFar := os.Stat(far)
		return errNear == nil && errFar == nil
	}, "the two ends of the line")
	return near, far, unplug
}
