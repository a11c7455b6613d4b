package diagnose_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/evidence"
)

// What a report costs the intake.
func BenchmarkArrived(b *testing.B) {
	w := diagnose.New(diagnose.Default(), noon)
	names := make([]string, 5000)
	for i := range names {
		names[i] = fmt.Sprint("controller-", i)
	}
	at := noon.UnixNano()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at += int64(time.Millisecond)
		w.Arrived(diagnose.Arrival{
			Controller: names[i%len(names)], Identity: penstock.SequenceIdentity(1, uint64(i/len(names)+1)), SourceTime: at - 1e6, Received: at, Admitted: at + 1e5,
		})
	}
}

// What judging 5,000 controllers costs.
func BenchmarkStep(b *testing.B) {
	now := noon
	w := diagnose.New(diagnose.Default(), now)
	f := diagnose.Facts{Book: evidence.NewBook(func() time.Time { return now })}
	for i := range 5000 {
		f.Controllers = append(f.Controllers, diagnose.Known{Name: fmt.Sprint("controller-", i), Site: fmt.Sprint("site-", i/10), Source: "https"})
	}
	b.ReportAllocs()
	for seq := uint64(1); b.Loop(); seq++ {
		now = now.Add(12 * time.Second)
		for i := range f.Controllers {
			w.Arrived(diagnose.Arrival{Controller: f.Controllers[i].Name, Identity: penstock.SequenceIdentity(1, seq), SourceTime: now.UnixNano(), Received: now.UnixNano(), Admitted: now.UnixNano()})
		}
		f.Now = now
		w.Step(f)
	}
}
