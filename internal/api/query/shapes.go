package query

// SeriesAnswer is an answer with samples, for the OpenAPI document.
type SeriesAnswer struct {
	Series []SeriesSamples `json:"series"`
	Next   string          `json:"next,omitempty" doc:"The answer was cut by limit: send this back as next for what follows."`
}

// SeriesSamples are the samples of one series, for the OpenAPI document.
type SeriesSamples struct {
	Controller string  `json:"controller"`
	Point      string  `json:"point"`
	Unit       string  `json:"unit" doc:"UCUM unit, empty when no report said."`
	Samples    [][]any `json:"samples" doc:"[time, value, status] each: the status as the number of OPC UA, null for no value, the strings NaN, Infinity and -Infinity for these."`
}

// SampleLine is a line of NDJSON, for the OpenAPI document.
type SampleLine struct {
	Controller string `json:"controller,omitempty"`
	Point      string `json:"point,omitempty"`
	Unit       string `json:"unit,omitempty"`
	Time       any    `json:"time,omitempty"`
	Value      any    `json:"value,omitempty"`
	Status     uint32 `json:"status,omitempty"`
	Next       string `json:"next,omitempty" doc:"Alone on the last line of an answer that was cut."`
}
