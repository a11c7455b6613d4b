package mongo_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/sink/mongo"
	"github.com/penstock/penstock/internal/sink/mongo/document"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/mongotest"
	"github.com/penstock/penstock/internal/testkit/pgtest"
	"github.com/penstock/penstock/internal/tlsfiles"
)

func TestConfig(t *testing.T) {
	good := mongo.Config{Server: "mongodb://a.example,[::1]:27018/metering", User: "penstock", Password: config.NewSecret("x"), AuthDatabase: "admin"}
	if err := good.Validate(); err != nil || len(good.Peers()) != 2 || good.Peers()[1].Address != "[::1]:27018" {
		t.Errorf("%v, %v", err, good.Peers())
	}
	for says, c := range map[string]mongo.Config{
		"write mongodb://":          {Server: "postgres://host/db"},
		"keys of their own":         {Server: "mongodb://user:secret@host/db"},
		"name of a database":        {Server: "mongodb://host"},
		"and nothing more":          {Server: "mongodb://host/db?replicaSet=x"},
		"no host with a port":       {Server: "mongodb://host:x/db"},
		"name the user":             {Server: "mongodb://host/db", Password: config.NewSecret("x")},
		"user penstock needs one":   {Server: "mongodb://host/db", User: "penstock"},
		"is less than a day":        {Server: "mongodb://host/db", Retention: config.Duration(time.Hour)},
		"the name of a database be": {Server: "mongodb://host/" + strings.Repeat("x", 64)},
	} {
		err := c.Validate()
		if penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want an error that says %q", c, err, says)
		}
	}
}

// TestTLS sees that the server must prove who it is, and that nothing is said without
// TLS to another machine.
func TestTLS(t *testing.T) {
	authority, other := testkit.NewAuthority(t), testkit.NewAuthority(t)
	dir := t.TempDir()
	cert, key := testkit.WriteFiles(t, authority.Server(t))
	files := map[string][]byte{"ca.pem": authority.PEM(), "other.pem": other.PEM()}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := mongotest.Start(pgtest.Memory(), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := &bench{Server: s}
	open := func(ca string) error {
		_, port, _ := strings.Cut(s.Address, ":")
		c := mongo.Config{Server: "mongodb://localhost:" + port + "/metering", TLS: tlsfiles.Client{CA: filepath.Join(dir, ca)}}
		if conn, err := c.Peers()[0].Dial(t.Context()); (err == nil) != (ca == "ca.pem") {
			t.Errorf("with %s the doctor finds %v", ca, err)
		} else if err == nil {
			_ = conn.Close()
		}
		_, err := b.open(t, node("a"), c).Resume(t.Context())
		return err
	}
	if err := open("ca.pem"); err != nil {
		t.Error(err)
	}
	if err := open("other.pem"); penstock.CodeOf(err) != penstock.Unavailable || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that another authority signed: %v", err)
	}
}

// TestPassword gives a user to a server that knows none: it says so, and the password
// stays secret.
func TestPassword(t *testing.T) {
	b := newBench(t)
	c := b.config()
	c.User, c.Password = "penstock", config.NewSecret("wrong secret")
	_, err := b.open(t, node("a"), c).Resume(t.Context())
	if penstock.CodeOf(err) != penstock.Unauthenticated || !strings.Contains(err.Error(), "auth_database") || strings.Contains(err.Error(), "wrong secret") {
		t.Errorf("a user that the server does not know: code %s, %v", penstock.CodeOf(err), err)
	}
}

// TestErrors sees how what a server says is understood.
func TestErrors(t *testing.T) {
	insert := mongotest.Command{Name: "insert", Collection: "reports"}
	failed := func(code int) bson.D {
		return bson.D{{Key: "ok", Value: 0.0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "the server says so"}}
	}
	for name, c := range map[string]struct {
		answer bson.D
		code   penstock.Code
		says   string
	}{
		"not the primary":        {failed(10107), penstock.Unavailable, "says so"},
		"shutting down":          {failed(91), penstock.Unavailable, "says so"},
		"no permission":          {failed(13), penstock.Forbidden, "readWrite"},
		"a user that is unknown": {failed(18), penstock.Unauthenticated, "auth_database"},
		"a full disk":            {failed(14031), penstock.Full, "spool"},
		"no majority": {bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "writeConcernError", Value: bson.D{
			{Key: "code", Value: 64}, {Key: "errmsg", Value: "waiting for replication timed out"}}}}, penstock.Unavailable, "replication"},
		"no majority, and a duplicate": {bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0},
			{Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: 0}, {Key: "code", Value: 11000}, {Key: "errmsg", Value: "E11000 duplicate key"}}}},
			{Key: "writeConcernError", Value: bson.D{{Key: "code", Value: 64}, {Key: "errmsg", Value: "waiting for replication timed out"}}}}, penstock.Unavailable, "replication"},
		"stepping down inside": {bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "writeErrors", Value: bson.A{bson.D{
			{Key: "index", Value: 0}, {Key: "code", Value: 189}, {Key: "errmsg", Value: "stepping down"}}}}}, penstock.Unavailable, "stepping"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r := b.resumed(t, node("a"))
			b.proxy.AnswerNext(insert, c.answer)
			_, err := r.Settle(t.Context(), batchOf(1, one(penstock.Sequence, 1)))
			if penstock.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("code %s: %v, want %s and %q", penstock.CodeOf(err), err, c.code, c.says)
			}
			if _, err := r.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			settleOne(t, r, 1, one(penstock.Sequence, 1), penstock.Stored)
		})
	}
}

// TestTheServerRefuses has the server refuse a document: by a validator, and by an
// index that somebody added.
func TestTheServerRefuses(t *testing.T) {
	for name, refusal := range map[string]bson.D{
		"validator": {{Key: "index", Value: 0}, {Key: "code", Value: 121}, {Key: "errmsg", Value: "Document failed validation"}},
		"index": {{Key: "index", Value: 0}, {Key: "code", Value: 11000}, {Key: "errmsg", Value: "E11000 duplicate key"},
			{Key: "keyPattern", Value: bson.D{{Key: "seq", Value: 1}}}},
	} {
		for _, form := range []penstock.IdentityForm{penstock.Sequence, penstock.Natural} {
			t.Run(name+" "+one(form, 1).Identity.String(), func(t *testing.T) {
				b := newBench(t)
				r := b.resumed(t, node("a"))
				b.proxy.AnswerNext(mongotest.Command{Name: "insert", Collection: "reports"},
					bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "writeErrors", Value: bson.A{refusal}}})
				settleOne(t, r, 1, one(form, 1), penstock.Quarantined)
				held, err := r.Quarantined(t.Context(), 0, 10)
				if err != nil || len(held) != 1 || !strings.Contains(held[0].Reason, refusal[2].Value.(string)) || held[0].By != "central" {
					t.Fatalf("in quarantine is %+v, %v", held, err)
				}
				// What a person retries is stored, now that the server takes it.
				d := penstock.Decision{Verb: penstock.Retry, Controller: "pump-1", Number: held[0].Number}
				receipt, err := r.Settle(t.Context(), penstock.Batch{First: 2, Last: 2, Deliveries: []penstock.Delivery{{Position: 2, Decision: &d}}})
				if err != nil || receipt.Settlements[0] != penstock.Stored || len(b.stored(t)) != 1 {
					t.Errorf("the retry: %v, %v", receipt.Settlements, err)
				}
				if err := r.Forget(t.Context(), 2); err != nil {
					t.Fatal(err)
				}
				if n := b.count(t, "reports", bson.D{{Key: "held", Value: bson.D{{Key: "$exists", Value: true}}}}); n != 0 {
					t.Errorf("%d documents still say that they were in quarantine", n)
				}
				settleOne(t, r, 3, one(form, 1), penstock.StoredTwice)
			})
		}
	}
}

// TestTooLarge has a report whose document would be larger than the server's bound.
func TestTooLarge(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	large := one(penstock.Sequence, 1)
	point := strings.Repeat("p", penstock.MaxName)
	for i := range penstock.MaxSamples - 1 {
		large.Samples = append(large.Samples, penstock.Sample{
			Point: point, SourceTime: noon + int64(i), Value: penstock.UintValue(1<<63 + uint64(i)), Unit: strings.Repeat("u", penstock.MaxUnit), Native: 1, Status: penstock.Bad, Flags: 1,
		})
	}
	receipt, err := r.Settle(t.Context(), batchOf(1, large, one(penstock.Sequence, 2)))
	if err != nil || receipt.Settlements[0] != penstock.Quarantined || receipt.Settlements[1] != penstock.Stored {
		t.Fatalf("%v, %v", receipt.Settlements, err)
	}
	held, err := r.Quarantined(t.Context(), 0, 10)
	if err != nil || len(held) != 1 || !strings.Contains(held[0].Reason, "bytes") {
		t.Errorf("in quarantine is %d, %v", len(held), err)
	}
}

// TestRetention drops what is old, and neither what is in quarantine nor what is
// settled.
func TestRetention(t *testing.T) {
	b := newBench(t)
	c := b.config()
	c.Retention = config.Duration(48 * time.Hour)
	e := env(node("a"))
	e.Now = func() time.Time { return time.Unix(0, noon).Add(72 * time.Hour) }
	r, err := mongo.New(c, e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	young := one(penstock.Sequence, 3)
	young.Samples[0].SourceTime = noon + int64(48*time.Hour)
	batch := batchOf(1, one(penstock.Sequence, 1), one(penstock.Sequence, 2), young, one(penstock.Natural, 4))
	batch.Deliveries[1].Hold = "hold"
	if _, err := r.Settle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := r.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(b.stored(t)); n != 1 {
		t.Errorf("%d samples are left, want 1", n)
	}
	if held, err := r.Quarantined(t.Context(), 0, 10); err != nil || len(held) != 1 {
		t.Errorf("in quarantine is %+v, %v", held, err)
	}
	settleOne(t, r, 5, one(penstock.Sequence, 1), penstock.StoredTwice)
	if n := len(b.stored(t)); n != 1 {
		t.Errorf("%d samples after a resend, want 1", n)
	}
}

// TestNewerFormat has a newer program change the documents.
func TestNewerFormat(t *testing.T) {
	b := newBench(t)
	r := b.resumed(t, node("a"))
	if _, err := b.db.Collection("format").UpdateOne(context.Background(), bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "version", Value: 3}, {Key: "oldest", Value: 2}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resume(t.Context()); penstock.CodeOf(err) != penstock.Unsupported || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("an older program resumes: %v", err)
	}
}

// TestDocument runs the query that the document shows.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../../docs/sinks/mongodb.md")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	r := b.resumed(t, node("a"))
	reports := []*penstock.Report{one(penstock.Sequence, 1), one(penstock.Sequence, 2)}
	for _, report := range reports {
		report.Controller = "pump-17"
	}
	if _, err := r.Settle(t.Context(), batchOf(1, reports...)); err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?ms)^```json\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(shown) != 1 {
		t.Fatalf("the document shows %d queries, want 1", len(shown))
	}
	if !json.Valid(shown[0][1]) {
		t.Fatal("the query is no JSON")
	}
	var pipeline bson.A
	if err := bson.UnmarshalExtJSON(shown[0][1], false, &pipeline); err != nil {
		t.Fatal(err)
	}
	cursor, err := b.db.Collection("reports").Aggregate(t.Context(), pipeline)
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Samples document.Sample
	}
	if err := cursor.All(t.Context(), &rows); err != nil || len(rows) != 2 || rows[0].Samples.Decode() != reports[1].Samples[0] || rows[1].Samples.Decode() != reports[0].Samples[0] {
		t.Errorf("the query finds %+v, %v", rows, err)
	}
}
