package diagnose

import "time"

// Standing is how one controller stands, in short.
type Standing struct {
	Name     string
	Site     string
	Line     string
	Pulse    Pulse
	Cause    Cause // Healthy when nothing is wrong, and before it was judged
	LastSeen int64 // nanoseconds since 1970 UTC, 0 for never
}

// Standings returns how each controller stands, in the order of their names.
func (w *Watch) Standings(now time.Time) []Standing {
	tracks := w.all()
	list := make([]Standing, 0, len(tracks))
	for _, t := range tracks {
		t.mu.Lock()
		s := Standing{
			Name: t.known.Name, Site: t.known.Site, Line: t.known.Line, Cause: t.standing.verdict.Cause,
			Pulse: t.pulse(now.UnixNano(), w), LastSeen: max(t.last, t.known.LastSeen),
		}
		t.mu.Unlock()
		if s.Name == "" {
			continue // it was not looked at yet
		}
		if s.Cause == "" {
			s.Cause = Healthy
		}
		list = append(list, s)
	}
	return list
}
