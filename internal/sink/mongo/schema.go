package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
)

// formatVersion is the version of the documents that this program writes.
const formatVersion = 1

// format is the document that says who may write: programs of the version Oldest and
// later.
type format struct {
	ID      string `bson:"_id"`
	Version int    `bson:"version"`
	Oldest  int    `bson:"oldest"`
}

// Updates that one command may have. FerretDB 1 never answers one with a hundred.
const (
	manyUpdates = 1000
	fewUpdates  = 40
)

// prepare makes the indexes, sees that this program may write, and returns how many
// updates one command may have.
func (r *Record) prepare(ctx context.Context) (updates int, err error) {
	db := r.reports.Database()
	var build struct {
		Ferret string `bson:"ferretdbVersion"`
	}
	if err := db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build); err != nil {
		return 0, err
	}
	if err := checkFormat(ctx, db.Collection("format")); err != nil {
		return 0, err
	}
	for collection, indexes := range map[*mongo.Collection][]mongo.IndexModel{
		r.reports:  {index("controller", "newest"), index("newest"), sparse("held.node", "held.number"), sparse("held.digest")},
		r.settled:  {index("of"), index("controller")},
		r.outcomes: {index("node", "position")},
	} {
		if err := makeIndexes(ctx, collection, indexes); err != nil {
			return 0, err
		}
	}
	if build.Ferret != "" {
		return fewUpdates, nil
	}
	return manyUpdates, nil
}

// index returns an index by the fields.
func index(fields ...string) mongo.IndexModel {
	var keys bson.D
	for _, field := range fields {
		keys = append(keys, bson.E{Key: field, Value: 1})
	}
	return mongo.IndexModel{Keys: keys, Options: options.Index()}
}

// sparse returns an index of the documents that have one of the fields.
func sparse(fields ...string) mongo.IndexModel {
	m := index(fields...)
	m.Options.SetSparse(true)
	return m
}

// makeIndexes makes those that are not there.
func makeIndexes(ctx context.Context, c *mongo.Collection, indexes []mongo.IndexModel) error {
	there, err := c.Indexes().ListSpecifications(ctx)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, s := range there {
		names[s.Name] = true
	}
	var missing []mongo.IndexModel
	for _, m := range indexes {
		name := "penstock"
		for _, key := range m.Keys.(bson.D) {
			name += "_" + key.Key
		}
		if !names[name] {
			m.Options.SetName(name)
			missing = append(missing, m)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.Indexes().CreateMany(ctx, missing)
	return err
}

// checkFormat sees that this program may write the documents that are there.
func checkFormat(ctx context.Context, c *mongo.Collection) error {
	f := format{ID: "documents", Version: formatVersion, Oldest: formatVersion}
	err := c.FindOne(ctx, bson.D{{Key: "_id", Value: f.ID}}).Decode(&f)
	if errors.Is(err, mongo.ErrNoDocuments) {
		if _, err = c.InsertOne(ctx, f); mongo.IsDuplicateKeyError(err) {
			return checkFormat(ctx, c)
		}
	}
	if err == nil && f.Oldest > formatVersion {
		return penstock.Errorf(penstock.Unsupported,
			"the documents have version %d, which only programs of version %d and later may write: upgrade this one", f.Version, f.Oldest)
	}
	return err
}
