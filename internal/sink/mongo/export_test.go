package mongo

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/penstock/penstock"
)

// DecodeSample returns the sample that a document has.
func DecodeSample(raw bson.Raw) (penstock.Sample, error) {
	var s sample
	if err := bson.Unmarshal(raw, &s); err != nil {
		return penstock.Sample{}, err
	}
	return s.decode(), nil
}
