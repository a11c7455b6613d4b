package historian

// CompactAll compacts until nothing is left to do.
func (h *Historian) CompactAll() error {
	for {
		if more, err := h.compact(); err != nil || !more {
			return err
		}
	}
}
