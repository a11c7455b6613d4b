package bodies

import (
	"fmt"
	"strconv"
)

// The digits of a report that change.
const (
	timeDigits  = 19 // of nanoseconds since 1970
	valueDigits = 5  // of "123.4"
)

// JSON returns a maker of bodies of one report with a number of readings.
// The body is made once for each controller; then only the digits of times,
// values and the seq, which stands last, change.
func JSON(connection, readings int, epoch uint64) Maker {
	begin := func(controller string) template { return newTemplate(controller, readings, epoch) }
	return inTurn(connection, begin, func(dst []byte, t *template, now, noise uint64) []byte {
		t.fill(now, noise)
		t.seq++
		dst = strconv.AppendUint(append(dst, t.text...), t.seq, 10)
		return append(dst, '}')
	})
}

// A template is a body up to its seq.
type template struct {
	text  []byte
	spots []spot
	seq   uint64
}

// A spot is where one reading's time and value stand.
type spot struct{ time, value int }

func newTemplate(controller string, readings int, epoch uint64) template {
	var t template
	t.text = fmt.Appendf(t.text, `{"controller":%q,"epoch":%d,"samples":[`, controller, epoch)
	for i := range readings {
		if i > 0 {
			t.text = append(t.text, ',')
		}
		t.text = fmt.Appendf(t.text, `{"point":%q,"time":`, pointName(i))
		s := spot{time: len(t.text)}
		t.text = append(t.text, "0000000000000000000"...)
		t.text = append(t.text, `,"value":`...)
		s.value = len(t.text)
		t.text = append(t.text, `100.0,"status":0}`...)
		t.spots = append(t.spots, s)
	}
	t.text = append(t.text, `],"seq":`...)
	return t
}

// fill writes times that end at now, a microsecond apart, and new values.
func (t *template) fill(now, noise uint64) {
	for i, s := range t.spots {
		writeDigits(t.text[s.time:s.time+timeDigits], timeOf(i, len(t.spots), now))
		tenths := tenthsOf(i, noise)
		value := t.text[s.value : s.value+valueDigits]
		writeDigits(value[:3], tenths/10)
		value[4] = '0' + byte(tenths%10)
	}
}

// writeDigits fills b with the last digits of n.
func writeDigits(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(n%10)
		n /= 10
	}
}
