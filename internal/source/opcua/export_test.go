package opcua

import (
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
)

// What tests look at from outside.
var (
	Follows = follows
	Ahead   = ahead
	ValueOf = valueOf
)

// SampleOf returns the sample of a node.
func SampleOf(element bool, v *ua.DataValue, now time.Time) (penstock.Sample, string) {
	n := &node{Node: Node{Controller: "c", Point: "p"}}
	if element {
		n.index = "0"
	}
	return sampleOf(n, v, now)
}
