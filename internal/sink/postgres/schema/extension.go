package schema

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// keeper is what divides the samples into parts.
type keeper string

const (
	native    keeper = ""            // Penstock, by PostgreSQL's own partitions
	timescale keeper = "timescaledb" // the samples are a hypertable
	citus     keeper = "citus"       // Penstock, and the partitions are spread over nodes
)

// keeperOf finds which extension the database has. It is asked when the tables
// are made; an extension that is created later changes nothing.
func keeperOf(ctx context.Context, tx pgx.Tx) (keeper, error) {
	var name string
	err := tx.QueryRow(ctx, `SELECT coalesce((SELECT extname FROM pg_extension
		WHERE extname IN ('timescaledb', 'citus') ORDER BY extname DESC LIMIT 1), '')`).Scan(&name)
	return keeper(name), err
}

// hand gives the new table of samples to the extension.
func (s Schema) hand(ctx context.Context, tx pgx.Tx, k keeper) error {
	var err error
	switch k {
	case timescale:
		_, err = tx.Exec(ctx, "SELECT create_hypertable($1::regclass, 'source_time', create_default_indexes => false)", s.SQL("{s}.samples"))
	case citus:
		_, err = tx.Exec(ctx, "SELECT create_distributed_table($1::regclass, 'point')", s.SQL("{s}.samples"))
	}
	return err
}

// partitioned tells whether the samples are divided by PostgreSQL's own
// partitions: those of a hypertable are not Penstock's to make.
func (s Schema) partitioned(ctx context.Context, tx pgx.Tx) (bool, error) {
	var kind string
	err := tx.QueryRow(ctx, "SELECT relkind::text FROM pg_class WHERE oid = to_regclass($1)", s.SQL("{s}.samples")).Scan(&kind)
	return kind == "p", err
}
