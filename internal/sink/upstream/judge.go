package upstream

import (
	"github.com/penstock/penstock"
)

// judge returns what an answer says of the reports: nil when the centre's record has
// settled all of them.
func (s *Sink) judge(a answer, rs []*penstock.Report) error {
	if len(a.Results) != len(rs) {
		return penstock.Errorf(penstock.Unavailable, "the centre %s answers %d of %d reports", s.server.Address, len(a.Results), len(rs))
	}
	failed := map[int]error{}
	for i := range a.Results {
		r := &a.Results[i]
		if r.Result == penstock.Accepted.String() || r.Result == penstock.Duplicate.String() {
			if !r.names(rs[i]) {
				return penstock.Errorf(penstock.Unavailable, "the centre %s answers to another report than %s %s", s.server.Address, rs[i].Controller, rs[i].Identity)
			}
			continue
		}
		failed[i] = s.refusal(r)
	}
	if err := s.pending(a.Committed); err != nil {
		if len(failed) == 0 {
			return err
		}
		for i := range rs {
			if failed[i] == nil {
				failed[i] = err
			}
		}
	}
	if len(failed) > 0 {
		return &penstock.WriteError{Failed: failed}
	}
	return nil
}

// names tells whether the result is that of a report.
func (r *result) names(of *penstock.Report) bool {
	id := penstock.Identity{}
	switch {
	case r.Epoch > 0:
		id = penstock.SequenceIdentity(r.Epoch, r.Seq)
	case r.Key != "":
		id = penstock.KeyIdentity(r.Key)
	}
	return r.Controller == of.Controller && id == of.Identity
}

// pending returns why what the centre accepted is not settled, nil when it is.
func (s *Sink) pending(committed *bool) error {
	switch {
	case committed == nil:
		return penstock.Errorf(penstock.Unavailable, "the centre %s does not say what is committed: it has to be as new as this gateway", s.server.Address)
	case !*committed:
		return penstock.Errorf(penstock.Unavailable, "the centre %s has accepted the reports, and its record has not settled them yet: look at the sinks there", s.server.Address)
	}
	return nil
}

// refusal returns the error of a report that the centre refused. What it says of the
// report, or of its controller, is for good; of the rest a later try may be better.
func (s *Sink) refusal(r *result) error {
	code := penstock.Invalid
	switch r.Reason {
	case penstock.ReasonForbidden, penstock.ReasonUnknown:
		code = penstock.Forbidden
	case penstock.ReasonConflict:
		code = penstock.Conflict
	case penstock.ReasonTooLarge:
		code = penstock.TooLarge
	case penstock.ReasonUnauthenticated, penstock.ReasonLimited, penstock.ReasonChecksum:
		code = penstock.Unavailable
	}
	return penstock.Errorf(code, "the centre %s refused it (%s): %s", s.server.Address, r.Reason, r.Detail)
}
