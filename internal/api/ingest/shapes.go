package ingest

import "github.com/penstock/penstock/internal/api/problem"

// Report is a report in JSON, for the OpenAPI document. The decode step reads
// it.
type Report struct {
	Controller string   `json:"controller" doc:"Name of the controller." example:"pump-17" maxLength:"128"`
	Epoch      uint64   `json:"epoch,omitempty" doc:"Grows when the controller loses its sequence." example:"1" maximum:"9007199254740991"`
	Seq        uint64   `json:"seq,omitempty" doc:"1, 2, 3 … within the epoch." example:"1" maximum:"9007199254740991"`
	Key        string   `json:"key,omitempty" doc:"Names the report instead of epoch and seq." maxLength:"255"`
	Samples    []Sample `json:"samples"`
}

// Sample is a sample in JSON, for the OpenAPI document.
type Sample struct {
	Point      string `json:"point" doc:"Name of the point." example:"flow" maxLength:"128"`
	Time       any    `json:"time,omitempty" doc:"RFC 3339 with up to nine decimals, or nanoseconds since 1970 as an integer or a string of digits; the gateway's clock when absent." example:"\"2026-11-22T06:00:00.123456789Z\""`
	Value      any    `json:"value" doc:"Number, boolean or text; null with a bad status." example:"12.5"`
	Status     any    `json:"status,omitempty" doc:"OPC UA status by name or number; Good when absent." example:"\"Good\""`
	Unit       string `json:"unit,omitempty" doc:"UCUM unit." example:"m3/h"`
	Native     uint32 `json:"native,omitempty" doc:"The protocol's own quality bits."`
	Historical bool   `json:"historical,omitempty" doc:"Sent after an outage, not live."`
}

// Results is the answer to reports, for the OpenAPI document.
type Results struct {
	Results []Result         `json:"results" doc:"A result a report, in their order."`
	Problem *problem.Details `json:"problem,omitempty" doc:"Why the reports behind the results were not judged."`
	// Committed stands there where the request waited for it.
	Committed *bool `json:"committed,omitempty" doc:"With wait=committed: whether the record has settled every report that is accepted or duplicate."`
}

// Result is the answer to one report, for the OpenAPI document.
type Result struct {
	Controller string `json:"controller"`
	Epoch      uint64 `json:"epoch,omitempty"`
	Seq        uint64 `json:"seq,omitempty"`
	Key        string `json:"key,omitempty"`
	Result     string `json:"result" enum:"accepted,duplicate,rejected" doc:"accepted: durable in this node. duplicate: it was so before."`
	Reason     string `json:"reason,omitempty" doc:"Why it was rejected, in one word; conflict among them."`
	Detail     string `json:"detail,omitempty" doc:"Why it was rejected, in a sentence."`
	Committed  *Mark  `json:"committed,omitempty" doc:"Up to here, without a gap, the record has the controller's reports: it may forget them."`
}

// Mark is a place in a controller's sequence, for the OpenAPI document.
type Mark struct {
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq" doc:"0 when nothing is."`
}
