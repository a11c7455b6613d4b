package historian

// CompactAll compacts until nothing is left to do.
func (h *Historian) CompactAll() error {
	for {
		if more, err := h.compact(); err != nil || !more {
			return err
		}
	}
}

// ReadQuarantined reads a row of the quarantine.
func ReadQuarantined(b []byte) (QuarantinedReport, bool) { return readQuarantined(b) }

// AppendQuarantined writes one.
func AppendQuarantined(q QuarantinedReport) []byte { return appendQuarantined(q) }
