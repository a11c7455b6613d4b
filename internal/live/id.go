package live

import (
	"strconv"
	"strings"

	"github.com/penstock/penstock"
)

// ID is the place of an event in a feed. Events of one run of the gateway count
// 1, 2, 3 …; a feed knows the IDs of its own run only.
type ID struct {
	Run uint64 // the run of the gateway
	Seq uint64 // the place in the run; 0 is before the first
}

// String returns the ID as it stands in an event stream: "run-seq".
func (id ID) String() string {
	return strconv.FormatUint(id.Run, 36) + "-" + strconv.FormatUint(id.Seq, 10)
}

// ParseID is the inverse of [ID.String]. An error has the code
// [penstock.Invalid].
func ParseID(s string) (ID, error) {
	run, seq, ok := strings.Cut(s, "-")
	r, err := strconv.ParseUint(run, 36, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	if !ok || err != nil || err2 != nil {
		return ID{}, penstock.Errorf(penstock.Invalid, "%.40q is not the id of an event: send back an id as it was received", s)
	}
	return ID{Run: r, Seq: n}, nil
}
