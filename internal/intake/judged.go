package intake

import "github.com/penstock/penstock"

// Judged is an envelope after the pipeline: either refused as a whole, or a list
// of reports, each admitted or refused. It is the caller's, and so are the slices
// and reports in it: the intake keeps of them nothing but strings.
type Judged struct {
	Err     error           // refused as a whole: the answer to the sender; nil otherwise
	Reason  penstock.Reason // why, when Err is set; booked on the account of input that names no controller
	Reports []Item
}

// Item is one report and what the pipeline made of it.
type Item struct {
	Report  *penstock.Report // as link.Check passes it, or it could never be read back; when refused, as far as it is known
	Reason  penstock.Reason  // empty: to be admitted; otherwise refused, and why
	Detail  string           // when refused: a sentence for the sender
	Trusted bool             // when refused: the sender may speak for the controller, so that the refusal fills the sequence
	// Forwarded says that another gateway received the report, and its received time is
	// that one's.
	Forwarded bool
	Filter    bool // to be admitted, but dropped on purpose by a step: settled without reaching the record
	// Quarantine says why the report is admitted but not to be stored: it goes to
	// quarantine as it came. Empty for all others.
	Quarantine string

	encoded []byte // the report's entry in the spool, in the submission's memory
}

// Decided tells that no further step has to look at the report.
func (i *Item) Decided() bool { return i.Reason != "" || i.Filter || i.Quarantine != "" }
