package upload

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/penstock/penstock"
)

// maxReport is the longest report that is read, in bytes of JSON.
const maxReport = 4 << 20

// reportReader reads reports one after the other from a JSON array, or from
// objects that follow one another, as in NDJSON. It holds one report in memory.
type reportReader struct {
	buffered *bufio.Reader
	counted  *countingReader
	decoder  *json.Decoder
	inArray  bool
	begun    bool
	count    int // reports read
}

func newReportReader(r io.Reader) *reportReader {
	buffered := bufio.NewReaderSize(r, 256<<10)
	counted := &countingReader{r: buffered}
	return &reportReader{buffered: buffered, counted: counted, decoder: json.NewDecoder(counted)}
}

// next returns the next report as it stands in the input, without white space
// between its parts, or io.EOF after the last.
func (r *reportReader) next() ([]byte, error) {
	if err := r.begin(); err != nil {
		return nil, err
	}
	if r.inArray && !r.decoder.More() {
		if _, err := r.decoder.Token(); err != nil { // the closing bracket
			return nil, r.malformed(err)
		}
		if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
			return nil, penstock.Errorf(penstock.Invalid, "something follows the array of reports in the input: give one array, or objects alone")
		}
		return nil, io.EOF
	}
	r.counted.left = maxReport
	var raw json.RawMessage
	if err := r.decoder.Decode(&raw); err != nil {
		if errors.Is(err, io.EOF) && !r.inArray {
			return nil, io.EOF
		}
		return nil, r.malformed(err)
	}
	r.count++
	if raw[0] != '{' {
		return nil, penstock.Errorf(penstock.Invalid, "report %d is not a JSON object", r.count)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, r.malformed(err)
	}
	return compact.Bytes(), nil
}

// begin finds out whether the input is an array.
func (r *reportReader) begin() error {
	if r.begun {
		return nil
	}
	r.begun = true
	for {
		b, err := r.buffered.ReadByte()
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil {
			return r.malformed(err)
		}
		if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
			continue
		}
		if err := r.buffered.UnreadByte(); err != nil {
			return r.malformed(err)
		}
		r.inArray = b == '['
		break
	}
	if r.inArray {
		r.counted.left = maxReport
		if _, err := r.decoder.Token(); err != nil {
			return r.malformed(err)
		}
	}
	return nil
}

// dry tells whether reading on would wait for more input.
func (r *reportReader) dry() bool {
	if r.buffered.Buffered() > 0 {
		return false
	}
	rest, err := io.ReadAll(r.decoder.Buffered())
	return err == nil && len(bytes.Trim(rest, " \t\r\n,]")) == 0
}

func (r *reportReader) malformed(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // callers take io.EOF for a good end
	}
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, errLong):
		return penstock.Errorf(penstock.TooLarge, "report %d is longer than %d bytes: send fewer samples at once", r.count+1, maxReport)
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return penstock.Errorf(penstock.Invalid, "report %d, after byte %d of the input, is not valid JSON: %w. The reports before it are dealt with; mend it and send the input again",
			r.count+1, r.decoder.InputOffset(), err)
	}
	return penstock.Errorf(penstock.Invalid, "the input cannot be read: %w", err)
}

var errLong = errors.New("too long")

// countingReader refuses to read more for one report than left says.
type countingReader struct {
	r    io.Reader
	left int
}

func (c *countingReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLong
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// withKey returns the report with a key of its own when nothing else tells it
// apart from a second sending: it has neither epoch and seq nor a key, and a
// sample without a time, which the gateway would stamp anew each time. What
// cannot be understood is left as it is: the gateway says what is wrong.
func withKey(report []byte, key string) []byte {
	var parts struct {
		Epoch   json.RawMessage `json:"epoch"`
		Seq     json.RawMessage `json:"seq"`
		Key     json.RawMessage `json:"key"`
		Samples []struct {
			Time json.RawMessage `json:"time"`
		} `json:"samples"`
	}
	if json.Unmarshal(report, &parts) != nil || parts.Epoch != nil || parts.Seq != nil || parts.Key != nil {
		return report
	}
	for _, sample := range parts.Samples {
		if sample.Time == nil {
			keyed := append([]byte(`{"key":`), strconv.Quote(key)...)
			return append(append(keyed, ','), report[1:]...)
		}
	}
	return report
}
