// Package metrics declares the gateway's metrics as data and keeps their values.
// The definitions stand in one table an area; docs/metrics.md is generated from
// them. No metric has a controller, a point or a credential for a label: the
// number of time series does not grow with the fleet.
package metrics
