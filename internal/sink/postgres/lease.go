package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock"
)

// holder tells this process from all others that want leases, those of a twin of
// its node too.
func (r *Record) holder() string {
	node := r.env.Node()
	return node.ID + "/" + node.Life()
}

// mostPast is how many earlier processes of a node are remembered as such.
const mostPast = 16

// past returns what the processes of the node before this one held leases as. They
// have ended, or this one would not have their disk.
func (r *Record) past() []string {
	node := r.env.Node()
	holders := []string{}
	for _, l := range node.Lives[max(0, len(node.Lives)-1-mostPast):] {
		if l.ID != node.Life() {
			holders = append(holders, node.ID+"/"+l.ID)
		}
	}
	return holders
}

// Lease takes the lease of the name for ttl, or holds it for that much longer, and
// tells whether this process has it. What counts is the server's clock. A process
// that cannot reach the server has no lease when ttl is over, counted from before
// its last call that went well.
//
// The row's token grows whenever the lease changes hands, so that a log tells
// whose turn it was. An earlier process of this node gives way at once. What two holders deliver of one slot is stored once anyhow,
// by its identity.
func (r *Record) Lease(ctx context.Context, name string, ttl time.Duration) (held bool, err error) {
	if ttl < time.Second || name == "" {
		return false, penstock.Errorf(penstock.Invalid, "a lease needs a name and at least a second, this is %q for %v", name, ttl)
	}
	err = r.within(ctx, func(tx pgx.Tx) error {
		var token int64
		err := tx.QueryRow(ctx, r.schema.SQL(`INSERT INTO {s}.leases AS l (name, holder, until)
			VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until,
				token = l.token + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END
			WHERE l.holder = excluded.holder OR l.until <= clock_timestamp() OR l.holder = ANY($4) RETURNING token`),
			name, r.holder(), ttl.Milliseconds(), r.past()).Scan(&token)
		held = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return held && err == nil, translate("taking the lease of "+name, err)
}

// Release gives the lease of the name up, so that another process has it at once.
func (r *Record) Release(ctx context.Context, name string) error {
	err := r.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, r.schema.SQL("UPDATE {s}.leases SET until = clock_timestamp() WHERE name = $1 AND holder = $2"), name, r.holder())
		return err
	})
	return translate("giving up the lease of "+name, err)
}
