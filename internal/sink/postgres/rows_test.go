package postgres_test

import (
	"testing"

	"github.com/penstock/penstock"
)

// TestRowsThatWent has somebody else change rows that the record counts on. It refuses
// the batch, stores nothing of it, finds out anew what there is, and goes on.
func TestRowsThatWent(t *testing.T) {
	for name, c := range map[string]struct{ harm, mend string }{
		"controller deleted": {harm: "DELETE FROM {s}.controllers"},
		"controller renamed": {harm: "UPDATE {s}.controllers SET name = 'another ' || id"},
		"settled row keeps what it has": {
			harm: `CREATE FUNCTION {s}.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
				CREATE TRIGGER nothing BEFORE UPDATE ON {s}.settled FOR EACH ROW EXECUTE FUNCTION {s}.nothing()`,
			mend: "DROP TRIGGER nothing ON {s}.settled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r := b.resumed(t, node("a"))
			if _, err := r.Settle(t.Context(), batchOf(1, fleet(2, 1, 1, 1)...)); err != nil {
				t.Fatal(err)
			}
			b.Exec(t, database, b.sql(c.harm))
			if _, err := r.Settle(t.Context(), batchOf(3, fleet(2, 1, 2, 1)...)); penstock.CodeOf(err) != penstock.Unavailable {
				t.Errorf("got %v", err)
			}
			if n := len(b.stored(t)); n > 2 {
				t.Errorf("%d samples are stored, two were settled", n)
			}
			if c.mend != "" {
				b.Exec(t, database, b.sql(c.mend))
			}
			if _, err := r.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			receipt, err := r.Settle(t.Context(), batchOf(3, fleet(2, 1, 2, 1)...))
			if err != nil || receipt.Settlements[0] != penstock.Stored || receipt.Settlements[1] != penstock.Stored {
				t.Errorf("afterwards: %+v, %v", receipt, err)
			}
			if n := b.number(t, "SELECT sum(samples) FROM {s}.settled"); n != 4 {
				t.Errorf("%d samples are settled", n)
			}
		})
	}
}
