package framed

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/checksum"
)

func (a *Answer) check() error {
	switch {
	case a == nil:
		return nil
	case len(a.Send)+len(a.Then)+a.CopySize > maxAnswer || a.CopySize < 0 || a.CopyAt < 0:
		return penstock.Errorf(penstock.Invalid, "send: an answer has at most %d bytes, copied ones among them", maxAnswer)
	case a.Order != "" && a.Order != "little" && a.Order != "big":
		return penstock.Errorf(penstock.Invalid, "order: %.20q is neither big nor little", a.Order)
	case a.Send == "" && a.CopySize == 0:
		return penstock.Errorf(penstock.Invalid, "send: the answer is empty")
	}
	if _, ok := checksum.Find(a.Checksum); a.Checksum != "" && !ok {
		return penstock.Errorf(penstock.Invalid, "checksum: there is no %.40q", a.Checksum)
	}
	return nil
}

// make returns the bytes of the answer to a frame with that content; what the
// content does not have is not copied.
func (a *Answer) make(content []byte) []byte {
	b := []byte(a.Send)
	from := min(a.CopyAt, len(content))
	b = append(b, content[from:min(from+a.CopySize, len(content))]...)
	b = append(b, a.Then...)
	if a.Checksum == "" {
		return b
	}
	order := checksum.LowFirst
	if a.Order == "big" {
		order = checksum.HighFirst
	}
	algorithm, _ := checksum.Find(a.Checksum)
	return algorithm.Append(b, b, order)
}
