package reading

import (
	"errors"
	"io"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/spool"
)

// probeAtOnce is how many entries are read at once in the search of a report.
const probeAtOnce = 64

// AcceptedFrom returns the first report at or behind a position and when it was
// accepted; false when there is none.
func AcceptedFrom(log *spool.Spool, from penstock.Position) (at penstock.Position, accepted int64, found bool, err error) {
	reader := log.NewReader(max(from, log.First()))
	defer reader.Close()
	var decoder intake.Decoder
	for {
		records, err := reader.Next(probeAtOnce)
		for i := range records {
			if records[i].Damaged {
				continue
			}
			if _, report, err := decoder.Decode(records[i].Data); err != nil {
				return 0, 0, false, err
			} else if report != nil {
				return records[i].Position, report.AcceptedTime, true, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return 0, 0, false, nil
		}
		if err != nil {
			return 0, 0, false, err
		}
	}
}

// PositionAt returns the position of the first report that was accepted at or after
// a time, one behind the last when there is none. Code [penstock.NotFound]: the spool
// has given up what was accepted then.
func PositionAt(log *spool.Spool, t time.Time) (penstock.Position, error) {
	wanted := t.UnixNano()
	low, high := log.First(), log.Durable()+1
	_, accepted, found, err := AcceptedFrom(log, low)
	if err != nil || !found {
		return high, err
	}
	if low > 1 && accepted > wanted {
		return 0, penstock.Errorf(penstock.NotFound, "the spool has nothing that was accepted before %s: what is older was given up", time.Unix(0, accepted).UTC().Format(time.RFC3339))
	}
	for low < high {
		middle := low + (high-low)/2
		at, accepted, found, err := AcceptedFrom(log, middle)
		switch {
		case err != nil:
			return 0, err
		case !found || accepted >= wanted:
			high = middle
		default:
			low = at + 1
		}
	}
	return low, nil
}
