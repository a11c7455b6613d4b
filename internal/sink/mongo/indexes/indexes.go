// Package indexes makes indexes of collections of MongoDB, those that are missing.
package indexes

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// By returns an index by the fields.
func By(fields ...string) mongo.IndexModel {
	var keys bson.D
	for _, field := range fields {
		keys = append(keys, bson.E{Key: field, Value: 1})
	}
	return mongo.IndexModel{Keys: keys, Options: options.Index()}
}

// Sparse returns an index of the documents that have one of the fields.
func Sparse(fields ...string) mongo.IndexModel {
	m := By(fields...)
	m.Options.SetSparse(true)
	return m
}

// Make makes those that are not there, which it tells by their names.
func Make(ctx context.Context, c *mongo.Collection, indexes []mongo.IndexModel) error {
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
