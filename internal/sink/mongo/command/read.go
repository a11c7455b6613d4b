// Package command reads and writes many documents at once, and tells what the server
// answered.
package command

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock"
)

// AtOnce is how many documents one command asks for or deletes by their names.
const AtOnce = 1000

// Each reads the documents whose field is one of the values, in as many commands as
// that needs.
func Each[V, D any](ctx context.Context, c *mongo.Collection, q Query[V], note func(*D)) error {
	for from := 0; from < len(q.Values); from += AtOnce {
		filter := append(bson.D{{Key: q.Field, Value: bson.D{{Key: "$in", Value: q.Values[from:min(from+AtOnce, len(q.Values))]}}}}, q.And...)
		if err := All(ctx, c, filter, note, options.Find().SetProjection(q.Fields)); err != nil {
			return err
		}
	}
	return nil
}

// Query says which documents [Each] reads.
type Query[V any] struct {
	Field  string
	Values []V
	And    bson.D // further conditions
	Fields any    // that are read; all when nil
}

// All reads the documents that pass the filter.
func All[D any](ctx context.Context, c *mongo.Collection, filter bson.D, note func(*D), o *options.FindOptionsBuilder) error {
	cursor, err := c.Find(ctx, filter, o)
	if err != nil {
		return err
	}
	defer cursor.Close(ctx)
	for cursor.Next(ctx) {
		d := new(D)
		if err := cursor.Decode(d); err != nil {
			return penstock.Errorf(penstock.Corrupt, "a document of %s cannot be read: %w", c.Name(), err)
		}
		note(d)
	}
	return cursor.Err()
}

// Absent is the condition that a document has no such field.
func Absent() bson.D { return bson.D{{Key: "$exists", Value: false}} }
