package judge

import "github.com/penstock/penstock"

// Content is what makes two samples at one time the same.
type Content struct {
	Value  penstock.Value
	Status penstock.Status
	Native uint32
}

// ContentOf returns the content of a sample.
func ContentOf(s *penstock.Sample) Content { return Content{s.Value, s.Status, s.Native} }

// SampleAt is where a sample without a sequence or a key stands.
type SampleAt struct {
	Point *Point
	Time  int64 // source_time
}

// sift takes of a natural report the samples that are new, by the first write at
// (point, time). Another value there is a conflict, counted and left out.
func (c *Case) sift(h *Held, r *penstock.Report) penstock.Settlement {
	fresh := 0
	var conflicts int64
	for i := range r.Samples {
		s := &r.Samples[i]
		at, want := SampleAt{c.found[i], s.SourceTime}, ContentOf(s)
		same, other := false, false
		for _, there := range [2][]Content{h.pending[at], c.Existing[at]} {
			for _, have := range there {
				same, other = same || have == want, other || have != want
			}
		}
		switch {
		case same:
		case other:
			conflicts++
		default:
			fresh++
			c.add(h, r, i)
		}
	}
	e := c.touch(h, r)
	e.Counts.Conflicts += conflicts
	if fresh == 0 && len(r.Samples) > 0 {
		return penstock.StoredTwice
	}
	e.Counts.Reports++
	return penstock.Stored
}
