package scripts

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/reportjson"
)

// builtIn are the reports of a trial that is given none.
//
//go:embed samples.ndjson
var builtIn string

// maxRecorded is the longest line of a recording.
const maxRecorded = 4 << 20

// open returns the recording that the flag names.
func open(env shell.Env, name string) (io.ReadCloser, error) {
	switch name {
	case "":
		return io.NopCloser(strings.NewReader(builtIn)), nil
	case "-":
		return io.NopCloser(env.Stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, shell.Usagef("%w", err)
	}
	return file, nil
}

// recorded is a line of a recording: a report as 'penstock send' takes it and
// 'penstock tail -o ndjson' shows it, or a sample as 'penstock query -o ndjson' does.
type recorded struct {
	Controller json.RawMessage   `json:"controller,omitempty"`
	Epoch      json.RawMessage   `json:"epoch,omitempty"`
	Seq        json.RawMessage   `json:"seq,omitempty"`
	Key        json.RawMessage   `json:"key,omitempty"`
	Samples    []json.RawMessage `json:"samples"`
	recordedSample
}

type recordedSample struct {
	Point  json.RawMessage `json:"point,omitempty"`
	Time   json.RawMessage `json:"time,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"`
	Status json.RawMessage `json:"status,omitempty"`
	Unit   json.RawMessage `json:"unit,omitempty"`
}

// each calls visit with every report of a recording; its errors name the line.
func each(recording io.Reader, visit func(*penstock.Report) error) error {
	lines := bufio.NewScanner(recording)
	lines.Buffer(make([]byte, 64<<10), maxRecorded)
	var d reportjson.Decoder
	for number := 1; lines.Scan(); number++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		line, err := reportLine(lines.Bytes())
		var r penstock.Report
		if err == nil {
			err = d.DecodeLine(line, &r)
		}
		if err != nil {
			return penstock.Errorf(penstock.Invalid, "line %d of the reports: %w", number, err)
		}
		if err := visit(&r); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return penstock.Errorf(penstock.TooLarge, "a line of the reports has more than %d bytes: they are one JSON object a line", maxRecorded)
	}
	return lines.Err()
}

// reportLine makes a report of a recorded sample. A report stays as it is, but
// that of its own fields only those of a sender are kept.
func reportLine(line []byte) ([]byte, error) {
	var r recorded
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, err
	}
	if r.Point != nil && r.Samples == nil {
		sample, err := json.Marshal(r.recordedSample)
		if err != nil {
			return nil, err
		}
		r.Samples = []json.RawMessage{sample}
	}
	r.recordedSample = recordedSample{}
	return json.Marshal(r)
}
