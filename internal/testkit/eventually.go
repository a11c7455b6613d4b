package testkit

import (
	"testing"
	"time"
)

// patience is how long Eventually waits. It is long, because it costs only a
// test that fails anyway, and a busy machine must not fail one that is right.
const patience = 30 * time.Second

// Eventually waits until cond returns true and fails the test when that does
// not come in time; why says what was waited for. It calls cond at once, then
// after short and growing pauses, always from the caller's goroutine. Where a
// test can be told of the event, or can use testing/synctest, that is better.
func Eventually(t testing.TB, cond func() bool, why string) {
	t.Helper()
	if !waitFor(cond, patience) {
		t.Fatalf("waited %v in vain: %s", patience, why)
	}
}

func waitFor(cond func() bool, limit time.Duration) bool {
	const shortest, longest = time.Millisecond, 50 * time.Millisecond
	end := time.Now().Add(limit)
	for pause := shortest; !cond(); pause = min(2*pause, longest) {
		if time.Now().After(end) {
			return false
		}
		<-time.After(pause)
	}
	return true
}

// Within waits as [Eventually] does, and tells whether it came.
func Within(cond func() bool) bool { return waitFor(cond, patience) }
