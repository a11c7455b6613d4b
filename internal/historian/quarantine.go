package historian

import (
	"encoding/binary"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/layout"
	"github.com/penstock/penstock/internal/historian/quarantine"
)

// QuarantinedReport is a report that could not be stored.
type QuarantinedReport = quarantine.Report

// quarantine keeps the report with the reason.
func (s *settler) quarantine(r *penstock.Report, reason string) {
	q := QuarantinedReport{Reason: reason, Time: s.h.o.Now().UnixNano(), Report: r}
	s.t.batch.Set(layout.Quarantine.Of8(s.nextQuarantine), quarantine.Append(nil, q))
	s.nextQuarantine++
}

// Quarantine yields the reports in quarantine, oldest first.
func (h *Historian) Quarantine(yield func(QuarantinedReport) bool) error {
	stopped := false
	return h.o.Store.Scan(layout.Quarantine.First(), layout.Quarantine.End(), func(key, value []byte) error {
		if stopped {
			return nil
		}
		q, ok := quarantine.Read(value)
		if !ok || len(key) != 10 {
			return damaged("quarantined reports")
		}
		q.Number = binary.BigEndian.Uint64(key[2:])
		stopped = !yield(q)
		return nil
	})
}
