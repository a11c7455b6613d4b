-- Names of controllers and points are compared byte by byte, hence COLLATE "C".

CREATE TABLE {s}.controllers (
  id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name  text COLLATE "C" NOT NULL UNIQUE,
  since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE {s}.controllers IS 'One row a controller. Whoever settles reports of a controller locks its row first, in the order of the ids.';

CREATE TABLE {s}.points (
  id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  controller integer NOT NULL,
  name       text COLLATE "C" NOT NULL,
  unit       text COLLATE "C" NOT NULL DEFAULT '',
  kind       smallint NOT NULL DEFAULT 0,
  UNIQUE (controller, name)
);
COMMENT ON COLUMN {s}.points.kind IS 'Kind of the newest value: 0 none, 1 float64, 2 int64, 3 uint64, 4 bool, 5 text.';

CREATE TABLE {s}.settled (
  controller  integer NOT NULL,
  epoch       bigint NOT NULL,
  numbers     int8multirange NOT NULL DEFAULT '{}',
  changes     bigint NOT NULL DEFAULT 0,
  newest      bigint,
  reports     bigint NOT NULL DEFAULT 0,
  duplicates  bigint NOT NULL DEFAULT 0,
  quarantined bigint NOT NULL DEFAULT 0,
  samples     bigint NOT NULL DEFAULT 0,
  conflicts   bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (controller, epoch)
) WITH (fillfactor = 60);
COMMENT ON TABLE {s}.settled IS 'What is settled of each epoch of a controller, for ever: its sequence numbers and counts. Epoch 0 counts reports without a sequence. newest: the largest source_time, in nanoseconds since 1970.';

CREATE TABLE {s}.keys (
  controller  integer NOT NULL,
  key         bytea NOT NULL,
  fingerprint bigint NOT NULL,
  newest      timestamptz NOT NULL,
  PRIMARY KEY (controller, key)
);
CREATE INDEX keys_by_time ON {s}.keys (newest);
COMMENT ON TABLE {s}.keys IS 'Idempotency keys, kept as long as the newest sample of their report.';

CREATE TABLE {s}.nodes (
  id      text PRIMARY KEY,
  name    text NOT NULL,
  life    text NOT NULL DEFAULT '',
  last    bigint NOT NULL DEFAULT 0,
  settled int8multirange NOT NULL DEFAULT '{}',
  holder  text NOT NULL DEFAULT '',
  changes bigint NOT NULL DEFAULT 0,
  seen    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);
COMMENT ON TABLE {s}.nodes IS 'How far each gateway has been settled, by the positions of its spool. life: the process that settled last; holder: the one that may settle now.';

CREATE TABLE {s}.outcomes (
  node       text NOT NULL,
  position   bigint NOT NULL,
  settlement smallint NOT NULL,
  PRIMARY KEY (node, position)
);
COMMENT ON TABLE {s}.outcomes IS 'What was not plainly stored, by position, until the gateway says that nobody will ask again: 2 duplicate, 3 quarantined, 4 discarded, 5 unchanged.';

CREATE TABLE {s}.quarantine (
  number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  controller    integer NOT NULL,
  digest        bytea NOT NULL,
  cause         text NOT NULL,
  reason        text NOT NULL,
  tries         integer NOT NULL DEFAULT 1,
  first_failure timestamptz NOT NULL DEFAULT now(),
  last_failure  timestamptz NOT NULL DEFAULT now(),
  node          text NOT NULL,
  position      bigint NOT NULL,
  fingerprint   bigint NOT NULL,
  source        bytea NOT NULL,
  received      bigint NOT NULL,
  accepted      bigint NOT NULL,
  report        bytea NOT NULL,
  UNIQUE (controller, digest)
);
COMMENT ON TABLE {s}.quarantine IS 'Reports that were refused, until a person has them retried or discarded. report: in the binary encoding of Penstock.';

CREATE TABLE {s}.leases (
  name   text PRIMARY KEY,
  holder text NOT NULL,
  token  bigint NOT NULL DEFAULT 1,
  until  timestamptz NOT NULL
);
COMMENT ON TABLE {s}.leases IS 'Which gateway reads an origin that only one may read. token grows with every change of the holder.';

CREATE TABLE {s}.samples (
  source_time   timestamptz NOT NULL,
  received_time timestamptz NOT NULL,
  stored_time   timestamptz NOT NULL,
  epoch         bigint,
  seq           bigint,
  float_value   double precision,
  int_value     bigint,
  point         integer NOT NULL,
  status        integer NOT NULL,
  native        integer NOT NULL,
  source_nanos  smallint NOT NULL,
  kind          smallint NOT NULL,
  flags         smallint NOT NULL,
  text_value    text
) {partitioned};
CREATE INDEX samples_by_point ON {s}.samples (point, source_time, source_nanos);
COMMENT ON TABLE {s}.samples IS 'Raw samples; the view readings shows them with names and numbers. source_nanos: what source_time has beyond microseconds. kind says which column has the value: 1 float_value, 2 int_value, 3 the same 64 bits without sign, 4 int_value 0 or 1, 5 text_value. status and native: 32 bits without sign. flags: 1 clock of the gateway, 2 skewed clock, 4 historical.';

CREATE VIEW {s}.readings AS
SELECT c.name AS controller, p.name AS point, p.unit, s.source_time, s.source_nanos,
       CASE s.kind WHEN 1 THEN s.float_value
                   WHEN 3 THEN (CASE WHEN s.int_value < 0 THEN 18446744073709551616 + s.int_value::numeric ELSE s.int_value END)::double precision
                   WHEN 2 THEN s.int_value WHEN 4 THEN s.int_value END AS value,
       CASE s.kind WHEN 2 THEN s.int_value::numeric
                   WHEN 3 THEN CASE WHEN s.int_value < 0 THEN 18446744073709551616 + s.int_value::numeric ELSE s.int_value END
       END AS exact,
       CASE s.kind WHEN 4 THEN s.int_value = 1 END AS switch,
       s.text_value AS text,
       CASE (s.status >> 30) & 3 WHEN 0 THEN 'good' WHEN 1 THEN 'uncertain' ELSE 'bad' END AS quality,
       s.status::bigint & 4294967295 AS status, s.native::bigint & 4294967295 AS native,
       s.flags & 2 <> 0 AS skewed_clock, s.flags & 4 <> 0 AS historical,
       s.epoch, s.seq, s.received_time, s.stored_time, s.point AS point_id
FROM {s}.samples s JOIN {s}.points p ON p.id = s.point JOIN {s}.controllers c ON c.id = p.controller;
COMMENT ON VIEW {s}.readings IS 'Samples for people. value: the number, rounded beyond 2^53; exact: whole numbers, all digits; switch: yes or no; text.';

CREATE VIEW {s}.latest AS
SELECT c.name AS controller, p.name AS point, p.unit, r.source_time, r.source_nanos, r.value, r.exact, r.switch, r.text,
       r.quality, r.status, r.native, r.skewed_clock, r.historical, r.epoch, r.seq, r.received_time, r.stored_time, p.id AS point_id
FROM {s}.points p JOIN {s}.controllers c ON c.id = p.controller CROSS JOIN LATERAL (
  SELECT * FROM {s}.readings x WHERE x.point_id = p.id
  ORDER BY x.source_time DESC, x.source_nanos DESC, x.epoch DESC NULLS LAST, x.seq DESC NULLS LAST LIMIT 1
) r;
COMMENT ON VIEW {s}.latest IS 'The newest sample of each point.';

CREATE VIEW {s}.hourly AS
SELECT controller, point, unit, date_trunc('hour', source_time, 'UTC') AS hour,
       count(*) AS samples, count(*) FILTER (WHERE quality = 'good') AS good,
       min(value) FILTER (WHERE quality <> 'bad' AND value <> 'NaN') AS min,
       max(value) FILTER (WHERE quality <> 'bad' AND value <> 'NaN') AS max,
       avg(value) FILTER (WHERE quality <> 'bad' AND value <> 'NaN') AS mean
FROM {s}.readings GROUP BY controller, point, unit, date_trunc('hour', source_time, 'UTC');
COMMENT ON VIEW {s}.hourly IS 'Minimum, maximum and mean of each point and hour (UTC).';
