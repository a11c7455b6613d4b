package link

import (
	"github.com/penstock/penstock"
)

// MaxReports is how many reports a data frame has at most.
const MaxReports = 1024

// BeginData appends the beginning of a data frame to dst and returns the longer
// slice. The encodings of its reports are to be appended, and then [EndFrame] called.
func BeginData(dst []byte, h Header) []byte { return beginFrame(dst, h, KindData) }

// EndFrame completes the frame that begins at start and ends where dst ends, and
// returns the longer slice.
func EndFrame(dst []byte, start int) []byte { return endFrame(dst, start) }

// AppendData appends a data frame to dst and returns the longer slice. Reports
// are encodings of [AppendReport], each of one or more reports.
func AppendData(dst []byte, h Header, reports ...[]byte) []byte {
	start := len(dst)
	dst = beginFrame(dst, h, KindData)
	for _, r := range reports {
		dst = append(dst, r...)
	}
	return endFrame(dst, start)
}

// Head is what tells a report from others, read without its samples.
type Head struct {
	Controller []byte // a part of the encoding; not checked
	Identity   penstock.Identity
	Size       int // bytes of the whole encoding
}

// ReadHead reads the head of the report at the start of b. It does not look at
// the samples, and allocates nothing for a report with a sequence. Errors are
// those of [Decoder.Decode].
func ReadHead(b []byte) (Head, error) {
	c := cursor{b: b, sample: -1}
	rest := c.frame()
	if c.err != nil {
		return Head{}, c.err
	}
	h := Head{Identity: c.identity(), Controller: c.text("controller", penstock.MaxName), Size: len(b) - len(rest)}
	return h, c.err
}
