package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/indexes"
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
	for collection, wanted := range map[*mongo.Collection][]mongo.IndexModel{
		r.reports:  {indexes.By("controller", "newest"), indexes.By("newest"), indexes.Sparse("held.node", "held.number"), indexes.Sparse("held.digest")},
		r.settled:  {indexes.By("of"), indexes.By("controller")},
		r.outcomes: {indexes.By("node", "position")},
	} {
		if err := indexes.Make(ctx, collection, wanted); err != nil {
			return 0, err
		}
	}
	if build.Ferret != "" {
		return fewUpdates, nil
	}
	return manyUpdates, nil
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
