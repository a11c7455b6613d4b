package sink_test

import (
	"crypto/rand"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/store"
)

func table(t *testing.T) *store.Table {
	t.Helper()
	fs := vfs.NewMem()
	keys, err := keyring.Open(fs, "keys", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(store.Options{FS: fs, Dir: "store", Keyring: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st.Table("node")
}

func self(t *testing.T, rows *store.Table, first penstock.Position) *sink.Self {
	t.Helper()
	s, err := sink.OpenSelf(rows, "gauge", first, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestANodeKnowsItsHistory(t *testing.T) {
	rows := table(t)
	one := self(t, rows, 1).Node()
	two := self(t, rows, 11).Node()
	three := self(t, rows, 11).Node()
	if one.ID == "" || two.ID != one.ID || three.ID != one.ID || len(three.Lives) != 3 || three.Name != "gauge" {
		t.Fatalf("%+v, %+v, %+v", one, two, three)
	}
	for _, c := range []struct {
		life string
		last penstock.Position
		want bool
	}{
		{one.Life(), 10, true}, {one.Life(), 11, false}, {two.Life(), 10, true}, {two.Life(), 11, false}, {three.Life(), 1 << 40, true}, {"stranger", 1, false},
	} {
		if got := three.Wrote(c.life, c.last); got != c.want {
			t.Errorf("position %d of %s stands in the history: %t", c.last, c.life, got)
		}
	}
	// A spool that is younger than its node is another history.
	if four := self(t, rows, 5).Node(); four.ID == one.ID || len(four.Lives) != 1 {
		t.Errorf("with an older spool the node is %+v", four)
	}
}

func TestANodeTakesAnotherNameOnce(t *testing.T) {
	rows := table(t)
	s := self(t, rows, 1)
	was := s.Node()
	if err := s.Renew(was.ID); err != nil {
		t.Fatal(err)
	}
	now := s.Node()
	if err := s.Renew(was.ID); err != nil || s.Node().ID != now.ID {
		t.Errorf("renewed twice: %v", err)
	}
	if now.ID == was.ID || now.Life() != was.Life() || self(t, rows, 1).Node().ID != now.ID {
		t.Errorf("%+v became %+v", was, now)
	}
}

func TestTheHistoryIsBounded(t *testing.T) {
	rows := table(t)
	var n sink.Node
	for range 1030 {
		n = self(t, rows, 1).Node()
	}
	if len(n.Lives) != 1024 {
		t.Errorf("%d processes are remembered", len(n.Lives))
	}
}

func TestADamagedNodeIsRefused(t *testing.T) {
	rows := table(t)
	for value, code := range map[string]penstock.Code{"{": penstock.Corrupt, `{"Version":9}`: penstock.Unsupported} {
		if err := rows.Put([]byte("node"), []byte(value)); err != nil {
			t.Fatal(err)
		}
		if _, err := sink.OpenSelf(rows, "", 1, rand.Reader); penstock.CodeOf(err) != code {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestSettingsSayWhatIsWrong(t *testing.T) {
	if err := (sink.Settings{}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	for _, s := range []sink.Settings{
		{Batch: -1}, {Batch: 1<<20 + 1}, {Linger: 1 << 50}, {Timeout: 1 << 60}, {Tries: -1}, {Backfill: -1}, {WhenFull: "panic"}, {Order: "any"},
	} {
		if err := s.Validate(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
