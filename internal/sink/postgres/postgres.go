package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/postgres/schema"
)

// Record keeps reports in a PostgreSQL database. It implements [penstock.Record].
// It is safe for concurrent use: Resume, Settle and Forget wait for each other.
type Record struct {
	env      sink.Env
	settings settings
	schema   schema.Schema
	pool     *pgxpool.Pool

	stop   context.CancelFunc
	closed <-chan struct{}
	upkeep sync.WaitGroup
	up     atomic.Bool // the tables are there, and the last transaction went well

	turn  chan struct{} // held by who settles; the rest of the struct is theirs
	state state
}

var (
	_ sink.Knower = (*Record)(nil)
	_ sink.Leaser = (*Record)(nil)
)

// state is what one process knows between its transactions. It is true as long as
// no transaction failed; then it is thrown away, and Resume makes a new one.
type state struct {
	ready      bool
	node       sink.Node
	holder     string
	changes    int64 // of the node's row: another value means that the store lost transactions
	catalogue  catalogue
	partitions *schema.Partitions
}

// New returns the record of the settings. It connects when it is first used. The
// error has code [penstock.Invalid].
func New(c Config, env sink.Env) (*Record, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	config, err := s.pool()
	if err != nil {
		return nil, err
	}
	// Statements without a name leave nothing behind in a connection that PgBouncer
	// hands to others.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.RuntimeParams["application_name"] = "penstock"
	ctx, stop := context.WithCancel(context.Background())
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		stop()
		return nil, penstock.Errorf(penstock.Invalid, "PostgreSQL: %s", redact(err.Error(), s.Password))
	}
	r := &Record{env: env, settings: s, schema: schema.New(s.Schema), pool: pool, stop: stop, closed: ctx.Done(), turn: make(chan struct{}, 1)}
	r.upkeep.Go(func() { r.keep(ctx) })
	return r, nil
}

// Fits returns an error of code [penstock.Unsupported] when this program must not
// write to the server or to the tables that are there. It changes nothing.
func (r *Record) Fits(ctx context.Context) error {
	err := r.within(ctx, func(tx pgx.Tx) error {
		if err := r.schema.Check(ctx, tx); err != nil {
			return err
		}
		return r.schema.Fits(ctx, tx)
	})
	return translate("looking at the tables", err)
}

// Close implements [penstock.Record].
func (r *Record) Close() error {
	r.stop()
	r.upkeep.Wait()
	r.pool.Close()
	return nil
}

// take waits for the turn to settle; the caller gives it back.
func (r *Record) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Record) give() { <-r.turn }

// begin is the start of every transaction. Whatever the role or the database has
// for defaults, a transaction sees what others committed before each statement,
// its commit is durable, it does not outlive a gateway that vanished, and answers
// have the form that they are read in.
const begin = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
SELECT set_config('idle_in_transaction_session_timeout', '60s', true), set_config('lock_timeout', '%dms', true),
	set_config('bytea_output', 'hex', true), set_config('DateStyle', 'ISO', true);`

// within runs do in one transaction and commits it. Where do fails, nothing of it
// remains; where the commit fails, it is unknown.
func (r *Record) within(ctx context.Context, do func(tx pgx.Tx) error) error {
	deadline, set := ctx.Deadline()
	if !set {
		deadline = time.Now().Add(patience)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return r.unreachable(err)
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: fmt.Sprintf(begin, max(time.Until(deadline).Milliseconds(), 1))})
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback(ctx)
		return err
	}
	return tx.Commit(ctx)
}

// patience is how long a transaction may take whose caller sets no limit.
const patience = 2 * time.Minute

// unreachable is why there is no connection.
func (r *Record) unreachable(err error) error {
	select {
	case <-r.closed:
		return penstock.Errorf(penstock.Closed, "the record is closed")
	default:
	}
	code := penstock.Unavailable
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		code = codeOf(answer)
	}
	return penstock.Errorf(code, "no connection: %s", redact(err.Error(), r.settings.Password))
}

// upkeep is how often partitions are made and dropped; and how soon again where
// that failed.
const (
	upkeepEvery = time.Hour
	upkeepRetry = time.Minute
	ahead       = 2 // periods
)

// keep makes and drops partitions until ctx ends, while delivery goes well.
func (r *Record) keep(ctx context.Context) {
	partitions := schema.NewPartitions(r.schema, r.settings.period)
	timer := time.NewTimer(upkeepRetry)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := upkeepRetry
		if !r.up.Load() {
			timer.Reset(next)
			continue
		}
		if err := r.keepOnce(ctx, partitions); err != nil && ctx.Err() == nil {
			r.env.Log.Warn("partitions were not seen to; it is tried again", "error", translate("partitions", err), "retry_in", next.String())
		} else {
			next = upkeepEvery
		}
		timer.Reset(next)
	}
}

// Upkeep makes the partitions of the near future and drops those that are older
// than the retention. The record does so by itself every hour.
func (r *Record) Upkeep(ctx context.Context) error {
	return translate("partitions", r.keepOnce(ctx, schema.NewPartitions(r.schema, r.settings.period)))
}

func (r *Record) keepOnce(ctx context.Context, partitions *schema.Partitions) error {
	partitions.Forget()
	var dropped schema.Dropped
	err := r.within(ctx, func(tx pgx.Tx) (err error) {
		dropped, err = partitions.Keep(ctx, tx, schema.Upkeep{Now: r.env.Now(), Ahead: ahead, Retention: r.settings.retention})
		return err
	})
	if err == nil && (len(dropped.Partitions) > 0 || dropped.Keys > 0) {
		r.env.Log.Info("samples older than the retention were dropped", "partitions", dropped.Partitions, "keys", dropped.Keys)
	}
	return err
}
