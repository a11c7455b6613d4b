package metrics

import "github.com/prometheus/client_golang/prometheus"

// The names of the metrics that are given as events happen.
const (
	Requests       Name = "penstock_api_requests_total"
	RequestSeconds Name = "penstock_api_request_seconds"
	ReceivedBytes  Name = "penstock_api_received_bytes_total"
	Misuse         Name = "penstock_metrics_misuse_total"
	VerdictChanges Name = "penstock_verdict_changes_total"
	ScriptFaults   Name = "penstock_script_faults_total"
)

// The names of the metrics that are read when somebody scrapes.
const (
	Connections     Name = "penstock_api_connections"
	Streams         Name = "penstock_api_streams"
	ReportsByResult Name = "penstock_ledger_reports_total"
	Nameless        Name = "penstock_ledger_nameless_total"
	SpoolBytes      Name = "penstock_spool_bytes"
	SpoolQuota      Name = "penstock_spool_quota_bytes"
	SpoolSegments   Name = "penstock_spool_segments"
	SpoolPosition   Name = "penstock_spool_position"
	Controllers     Name = "penstock_controllers"
	RecordPosition  Name = "penstock_record_position"
	RecordSeries    Name = "penstock_record_series"
	RecordSamples   Name = "penstock_record_samples"
	RecordBytes     Name = "penstock_record_bytes"
	RecordConflicts Name = "penstock_record_conflicts_total"
	Quarantined     Name = "penstock_quarantined_reports"
	SinkBacklog     Name = "penstock_sink_backlog_reports"
	SinkBytes       Name = "penstock_sink_backlog_bytes"
	SinkAge         Name = "penstock_sink_backlog_seconds"
	SinkReports     Name = "penstock_sink_reports_total"
	SinkHeld        Name = "penstock_sink_quarantined_reports"
	SinkState       Name = "penstock_sink_state"
	LinkEvents      Name = "penstock_link_events_total"
	ScriptStuck     Name = "penstock_script_stuck_workers"
	Verdicts        Name = "penstock_verdicts"
	ComponentOK     Name = "penstock_component_ok"
	CertExpiry      Name = "penstock_certificate_expiry_timestamp_seconds"
	Refused         Name = "penstock_refused_connections_total"
	Headless        Name = "penstock_headless_connections_total"
	SpansLost       Name = "penstock_trace_spans_lost_total"
	BuildInfo       Name = "penstock_build_info"
	StageSeconds    Name = "penstock_stage_seconds"
	StageReports    Name = "penstock_stage_reports_total"
	StageBusy       Name = "penstock_stage_busy_ratio"
	StageSlowest    Name = "penstock_stage_slowest"
	Stalls          Name = "penstock_stalled_stages"
	MemoryLimit     Name = "penstock_memory_limit_bytes"
	MemoryShedding  Name = "penstock_memory_shedding"
	LogLines        Name = "penstock_log_lines_total"
	LogQueued       Name = "penstock_log_queued_lines"
)

var apiDefinitions = []Definition{
	{Name: Requests, Kind: Counter, Unit: "requests", Help: "Requests answered by the HTTP API.",
		Labels: []Label{{"route", "the route's method and path"}, {"status", "the HTTP status"}}},
	{Name: RequestSeconds, Kind: Histogram, Unit: "seconds", Help: "Time from a request's header to the end of its answer.",
		Labels: []Label{{"route", "the route's method and path"}}, Buckets: latency},
	{Name: ReceivedBytes, Kind: Counter, Unit: "bytes", Help: "Bytes of request bodies as they came, before decompression."},
	{Name: Connections, Kind: Gauge, Unit: "connections", Help: "Open connections to the HTTP API."},
	{Name: Streams, Kind: Gauge, Unit: "streams", Help: "Open event streams."},
}

var flowDefinitions = []Definition{
	{Name: StageSeconds, Kind: Histogram, Unit: "seconds", Help: "Time of one piece of work in a stage: an envelope in a step of the pipeline, a group that is synced, a batch that is settled.",
		Labels: []Label{{"stage", "a step of the pipeline, intake, spool queue, spool sync, delivery read, record settle"}, {"part", "acknowledgement, delivery or aside"}}, Buckets: prometheus.ExponentialBuckets(1.024e-6, 2, 27)},
	{Name: StageReports, Kind: Counter, Unit: "reports", Help: "Reports that a stage worked for; envelopes before they are decoded.",
		Labels: []Label{{"stage", "as above"}}},
	{Name: StageBusy, Kind: Gauge, Unit: "ratio", Help: "Time spent in a stage a second, over the last minute; above 1 when several work or wait in it at once.",
		Labels: []Label{{"stage", "as above"}}},
	{Name: StageSlowest, Kind: Gauge, Unit: "boolean", Help: "1 for the stage of its part in which a piece of work took longest over the last minute, 0 otherwise.",
		Labels: []Label{{"stage", "as above"}, {"part", "acknowledgement, delivery or aside"}}},
	{Name: Stalls, Kind: Gauge, Unit: "stages", Help: "Pieces of work that stand still in a stage; the log names stage and goroutine.",
		Labels: []Label{{"part", "acknowledgement, delivery or aside"}}},
}

var spoolDefinitions = []Definition{
	{Name: ReportsByResult, Kind: Counter, Unit: "reports", Help: "Reports of named controllers, as the books have them.",
		Labels: []Label{{"result", "accepted, duplicate, or the reason of a rejection"}}},
	{Name: Nameless, Kind: Counter, Unit: "envelopes", Help: "Input refused before it named a controller, as the books have it.",
		Labels: []Label{{"reason", "the reason of the refusal"}}},
	{Name: SpoolBytes, Kind: Gauge, Unit: "bytes", Help: "Bytes of the spool on disk."},
	{Name: SpoolQuota, Kind: Gauge, Unit: "bytes", Help: "Bytes the spool may use before it refuses reports."},
	{Name: SpoolSegments, Kind: Gauge, Unit: "files", Help: "Segments of the spool."},
	{Name: SpoolPosition, Kind: Gauge, Unit: "position", Help: "Last durable position of the spool."},
	{Name: Controllers, Kind: Gauge, Unit: "controllers", Help: "Controllers known to the fleet."},
}

var recordDefinitions = []Definition{
	{Name: RecordPosition, Kind: Gauge, Unit: "position", Help: "Position of the spool through which the record has settled; what is missing to penstock_spool_position is its backlog."},
	{Name: RecordSeries, Kind: Gauge, Unit: "series", Help: "Series in the historian."},
	{Name: RecordSamples, Kind: Gauge, Unit: "samples", Help: "Samples in the historian."},
	{Name: RecordBytes, Kind: Gauge, Unit: "bytes", Help: "Bytes of the historian on disk."},
	{Name: RecordConflicts, Kind: Counter, Unit: "samples", Help: "Samples without a sequence or key that were not stored, because another value stood at their time."},
	{Name: Quarantined, Kind: Gauge, Unit: "reports", Help: "Reports in quarantine, waiting for a person."},
}

var sinkDefinitions = []Definition{
	{Name: SinkBacklog, Kind: Gauge, Unit: "reports", Help: "Entries of the spool that wait for a sink: reports, and now and then a decision.",
		Labels: []Label{sinkLabel}},
	{Name: SinkBytes, Kind: Gauge, Unit: "bytes", Help: "Bytes of the spool that wait for a sink, about.",
		Labels: []Label{sinkLabel}},
	{Name: SinkAge, Kind: Gauge, Unit: "seconds", Help: "Age of the oldest report that waits for a sink.",
		Labels: []Label{sinkLabel}},
	{Name: SinkReports, Kind: Counter, Unit: "reports", Help: "What became of reports at a sink, as its books have it.",
		Labels: []Label{sinkLabel, {"result", "delivered, discarded by a person, dropped because the spool had no room or lost them, fed_again to a record that came back without them"}}},
	{Name: SinkHeld, Kind: Gauge, Unit: "reports", Help: "Reports in the quarantine of a sink that is no record.",
		Labels: []Label{sinkLabel}},
	{Name: SinkState, Kind: Gauge, Unit: "boolean", Help: "1 for the state that a sink is in.",
		Labels: []Label{sinkLabel, {"state", "starting, delivering, retrying, down or paused"}}},
}

// sinkLabel tells sinks apart.
var sinkLabel = Label{"sink", "the sink's name in the configuration; historian for the embedded one"}

var linkDefinitions = []Definition{
	{Name: Verdicts, Kind: Gauge, Unit: "controllers", Help: "Controllers by the verdict that stands on them.",
		Labels: []Label{{"verdict", "ok, physical, controller, network, gateway, store, configuration or unclear"}}},
	{Name: VerdictChanges, Kind: Counter, Unit: "changes", Help: "Verdicts on controllers that became another, by what they became.",
		Labels: []Label{{"verdict", "ok, physical, controller, network, gateway, store, configuration or unclear"}}},
	{Name: LinkEvents, Kind: Counter, Unit: "events", Help: "What happened on the ports of the sources: frames that were whole, errors by kind, sessions made and lost.",
		Labels: []Label{{"port", "the source, and where it has several ports the port behind a slash"}, {"event", "received, checksum, framing, parity, timeout …"}}},
}

var gatewayDefinitions = []Definition{
	{Name: ComponentOK, Kind: Gauge, Unit: "boolean", Help: "1 while a component does its work, 0 otherwise.",
		Labels: []Label{{"component", "the component's name as /readyz shows it"}}},
	{Name: CertExpiry, Kind: Gauge, Unit: "seconds", Help: "Time since 1970 at which the certificate of the HTTP API expires."},
	{Name: Refused, Kind: Counter, Unit: "connections", Help: "Connections and datagrams from addresses that listen.allow does not name."},
	{Name: Headless, Kind: Counter, Unit: "connections", Help: "Connections from load balancers that listen.proxy names, closed because they had no PROXY header that holds."},
	{Name: SpansLost, Kind: Counter, Unit: "spans", Help: "Parts of traces that the collector at trace.endpoint did not take."},
	{Name: BuildInfo, Kind: Gauge, Unit: "none", Help: "Always 1; the labels tell what is running.",
		Labels: []Label{{"version", "the version of the gateway"}, {"go", "the version of Go it was built with"}}},
	{Name: ScriptFaults, Kind: Counter, Unit: "faults", Help: "Reports on which the user's script failed or was not run, by how.",
		Labels: []Label{{"kind", "threw, slow, stuck, hungry, deep, or resting: it was stopped on too many of the controller's reports"}}},
	{Name: ScriptStuck, Kind: Gauge, Unit: "workers", Help: "Workers of the user's script that are in an operation that cannot be stopped."},
	{Name: MemoryLimit, Kind: Gauge, Unit: "bytes", Help: "Memory below which the gateway keeps; 0 for no limit."},
	{Name: MemoryShedding, Kind: Gauge, Unit: "level", Help: "What the gateway does without to keep below the limit: 0 nothing, 1 caches, 2 live streams, 3 new connections, 4 new reports."},
	{Name: LogLines, Kind: Counter, Unit: "lines", Help: "Lines of the log that an output took, and those for which it had no room.",
		Labels: []Label{{"output", "the output's name in the configuration, or stderr"}, {"result", "sent or dropped"}}},
	{Name: LogQueued, Kind: Gauge, Unit: "lines", Help: "Lines of the log that wait for an output.",
		Labels: []Label{{"output", "the output's name in the configuration, or stderr"}}},
	{Name: Misuse, Kind: Counter, Unit: "calls", Help: "Values given to a metric that is not declared so: a fault of the gateway.",
		Labels: []Label{{"name", "the name that was used"}}},
}
