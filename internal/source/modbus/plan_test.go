package modbus_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/source/modbus"
	"github.com/penstock/penstock/internal/source/modbus/wire"
)

func TestRegistersAreGrouped(t *testing.T) {
	five := 5
	none := 0
	for _, c := range []struct {
		name   string
		device modbus.Device
		at     []string
		want   string
	}{
		{"neighbours", modbus.Device{}, []string{"holding 10", "holding 11", "holding 12"}, "[3:10+3]"},
		{"in any order", modbus.Device{}, []string{"holding 12", "holding 10", "holding 11"}, "[3:10+3]"},
		{"twice the same", modbus.Device{}, []string{"holding 10.1", "holding 10.2"}, "[3:10+1]"},
		{"a gap that is small enough", modbus.Device{MaxGap: &five}, []string{"holding 10", "holding 16"}, "[3:10+7]"},
		{"a gap that is not", modbus.Device{MaxGap: &five}, []string{"holding 10", "holding 17"}, "[3:10+1 3:17+1]"},
		{"no gap", modbus.Device{MaxGap: &none}, []string{"holding 10", "holding 12"}, "[3:10+1 3:12+1]"},
		{"as many as the device gives", modbus.Device{MaxRegisters: 2}, []string{"holding 1", "holding 2", "holding 3"}, "[3:1+2 3:3+1]"},
		{"each table by itself", modbus.Device{}, []string{"holding 10", "input 10", "coil 10", "discrete 10"}, "[1:10+1 2:10+1 3:10+1 4:10+1]"},
		{"bits lie nearer", modbus.Device{}, []string{"coil 10", "coil 100"}, "[1:10+91]"},
	} {
		c.device.Groups = everySecond()
		for _, at := range c.at {
			c.device.Groups[0].Points = append(c.device.Groups[0].Points, point(at, at, ""))
		}
		got := []string{}
		for _, q := range modbus.Requests(c.device) {
			got = append(got, fmt.Sprintf("%d:%d+%d", q.Function, q.Address, q.Count))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

// Every value stands whole in one request, no request is longer than allowed or
// reads more that nobody wants than allowed.
func TestGroupingKeepsTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gap := rapid.IntRange(0, 30).Draw(t, "gap")
		d := modbus.Device{MaxGap: &gap, MaxRegisters: rapid.IntRange(4, wire.MaxRegisters).Draw(t, "most")}
		kinds := map[modbus.Type]int{modbus.U16: 1, modbus.F32: 2, modbus.F64: 4}
		wanted := map[int]bool{}
		type want struct{ first, words int }
		var wants []want
		var points []modbus.Point
		for i := range rapid.IntRange(1, 60).Draw(t, "points") {
			kind := rapid.SampledFrom([]modbus.Type{modbus.U16, modbus.F32, modbus.F64}).Draw(t, "type")
			first := rapid.IntRange(0, 400).Draw(t, "first")
			points = append(points, point(fmt.Sprint(i), fmt.Sprint("holding ", first), kind))
			wants = append(wants, want{first, kinds[kind]})
			for w := range kinds[kind] {
				wanted[first+w] = true
			}
		}
		d.Groups = []modbus.Group{{Every: time.Second, Points: points}}
		requests := modbus.Requests(d)
		for _, q := range requests {
			if err := q.Check(); err != nil || int(q.Count) > d.MaxRegisters {
				t.Fatalf("%v: %v", q, err)
			}
			hole := 0
			for a := int(q.Address); a < int(q.Address)+int(q.Count); a++ {
				if hole++; wanted[a] {
					hole = 0
				}
				if hole > gap {
					t.Fatalf("%v reads %d registers that nobody wants", q, hole)
				}
			}
		}
		for _, w := range wants {
			whole := false
			for _, q := range requests {
				whole = whole || int(q.Address) <= w.first && w.first+w.words <= int(q.Address)+int(q.Count)
			}
			if !whole {
				t.Fatalf("%d registers from %d on stand whole in none of %v", w.words, w.first, requests)
			}
		}
	})
}
