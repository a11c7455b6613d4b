package trouble

import "github.com/penstock/penstock"

// Suspicion finds the report that a destination cannot stand, when it does not say
// which one it is: loads get smaller until one report is alone.
type Suspicion struct {
	most  int // reports of the next load; 0 for no limit
	first penstock.Position
	count int // deliveries of the load that was tried

	alone penstock.Position // a report that failed alone
	tries int
	why   string
}

// widest is the size of a load from which on there is no limit any more.
const widest = 1 << 12

// Tried notes, before a load is written, how many deliveries it has and where the
// first one stands.
func (s *Suspicion) Tried(first penstock.Position, count int) {
	s.first, s.count = first, count
}

// Cleared notes that the load was written.
func (s *Suspicion) Cleared() {
	if s.count == 1 && s.first == s.alone {
		s.alone, s.tries, s.why = 0, 0, ""
	}
	if s.most *= 2; s.most > widest {
		s.most = 0
	}
	s.count = 0
}

// Narrowed takes the failure of a load into account, and tells whether a smaller one
// is tried next. A record's conflict is about who settles, and no report's fault.
func (s *Suspicion) Narrowed(err error, record bool) bool {
	count := s.count
	s.count = 0
	if count == 0 || !Own(err) || record && penstock.CodeOf(err) == penstock.Conflict {
		return false
	}
	if count > 1 {
		s.most = max(1, count/2)
		return true
	}
	if s.alone != s.first {
		s.alone, s.tries = s.first, 0
	}
	s.tries++
	s.most, s.why = 1, err.Error()
	return false
}

// Guilty tells whether the report at a position failed alone so often that it goes to
// quarantine untried.
func (s *Suspicion) Guilty(at penstock.Position, tries int) bool {
	return s.alone == at && at != 0 && s.tries >= tries
}

// Most returns how many reports the next load may have, 0 for no limit.
func (s *Suspicion) Most() int { return s.most }

// Tries returns how often the report that failed alone did, and why it did last.
func (s *Suspicion) Tries() (int, string) { return s.tries, s.why }
