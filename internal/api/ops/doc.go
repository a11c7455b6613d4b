// Package ops answers what people ask of the gateway itself: its log and how its
// reports flow.
package ops
