package sim

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// The kinds of point in a network file.
const (
	pointFloat   = 1
	pointInt     = 2
	pointCounter = 3
	pointBool    = 4
	pointText    = 5
)

// Limits of a network file. They keep a damaged file from asking for memory.
const (
	maxNetworkBody  = 16 << 20
	maxNetworkName  = penstock.MaxName
	maxNetworkCount = 1 << 16
	maxDecimals     = 9
)

// A network is one day of a plant as its controllers see it.
type network struct {
	step     int64 // seconds from one value to the next
	steps    int
	stations []station
}

// A station is one controller of the network.
type station struct {
	name   string
	kind   string
	points []series
}

// A series is a point's day: whole numbers, see sim/epanet/FORMAT.md.
type series struct {
	name     string
	unit     string
	kind     uint64
	decimals int
	texts    []string
	values   []int64
}

//go:embed network.bin
var networkFile []byte

// town is the embedded network, decoded once: it never changes.
var town = sync.OnceValues(func() (*network, error) { return decodeNetwork(networkFile) })

// decodeNetwork reads a network file. The error's code is Unsupported for a
// newer format and Corrupt for everything else.
func decodeNetwork(file []byte) (*network, error) {
	const magic = "PSNW"
	if len(file) < len(magic)+2 || string(file[:len(magic)]) != magic {
		return nil, penstock.Errorf(penstock.Corrupt, "sim: not a network file")
	}
	if file[4] != 1 || file[5] != 0 {
		return nil, penstock.Errorf(penstock.Unsupported, "sim: network file of version %d with features %#x; this program reads version 1", file[4], file[5])
	}
	body, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(file[6:])), maxNetworkBody+1))
	if err != nil {
		return nil, penstock.Errorf(penstock.Corrupt, "sim: network file: %w", err)
	}
	if len(body) > maxNetworkBody {
		return nil, penstock.Errorf(penstock.Corrupt, "sim: network file has more than %d bytes", maxNetworkBody)
	}
	return parseNetwork(body)
}

// parseNetwork reads what a network file holds, uncompressed.
func parseNetwork(body []byte) (*network, error) {
	r := networkReader{rest: body}
	n := r.network()
	if r.bad || len(r.rest) > 0 {
		return nil, penstock.Errorf(penstock.Corrupt, "sim: network file is malformed %d bytes before its end", len(r.rest))
	}
	return n, nil
}

// networkReader takes a body apart. After the first fault, bad is set and
// everything it returns is zero.
type networkReader struct {
	rest []byte
	bad  bool
}

func (r *networkReader) network() *network {
	n := &network{step: int64(r.count(24 * 3600)), steps: r.count(maxNetworkCount)}
	if n.step == 0 || n.steps == 0 {
		r.bad = true
	}
	for range r.count(maxNetworkCount) {
		if r.bad {
			break
		}
		n.stations = append(n.stations, r.station(n.steps))
	}
	if len(n.stations) == 0 {
		r.bad = true
	}
	return n
}

func (r *networkReader) station(steps int) station {
	s := station{name: r.text(), kind: r.text()}
	count := r.count(MaxPoints)
	if penstock.CheckControllerName(s.name) != nil || count == 0 {
		r.bad = true
	}
	for range count {
		if r.bad {
			break
		}
		s.points = append(s.points, r.series(steps))
	}
	return s
}

func (r *networkReader) series(steps int) series {
	s := series{name: r.text(), unit: r.text(), kind: r.uvarint(), decimals: r.count(maxDecimals)}
	for range r.count(maxNetworkCount) {
		if r.bad {
			break
		}
		s.texts = append(s.texts, r.text())
	}
	wrong := penstock.CheckPointName(s.name) != nil || len(s.unit) > penstock.MaxUnit ||
		s.kind < pointFloat || s.kind > pointText || (s.kind == pointText) != (len(s.texts) > 0)
	if wrong || r.bad || steps > len(r.rest) { // a value has at least a byte
		r.bad = true
		return s
	}
	s.values = make([]int64, steps)
	var last int64
	for i := range s.values {
		last += r.signed()
		s.values[i] = last
		r.bad = r.bad || !s.allows(last, i)
	}
	return s
}

// allows tells whether the value at step i can stand in a series of this kind.
func (s *series) allows(v int64, i int) bool {
	const limit = 1 << 32 // so that no later arithmetic overflows
	switch s.kind {
	case pointBool:
		return v == 0 || v == 1
	case pointText:
		return v >= 0 && v < int64(len(s.texts))
	case pointCounter:
		return v >= 0 && v < limit && (i == 0 || v >= s.values[i-1])
	}
	return v > -limit && v < limit
}

func (r *networkReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *networkReader) signed() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// count reads a number of things, at most limit.
func (r *networkReader) count(limit int) int {
	v := r.uvarint()
	if v > uint64(limit) {
		r.bad = true
		return 0
	}
	return int(v)
}

func (r *networkReader) text() string {
	n := r.count(maxNetworkName)
	if n > len(r.rest) {
		r.bad = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	if !utf8.ValidString(s) {
		r.bad = true
	}
	return s
}
