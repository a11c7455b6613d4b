package command

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"

	"github.com/penstock/penstock"
)

// DuplicateKey is the server's code for a key that is taken. This and the codes below
// are those of error_codes.yml in MongoDB's source.
const DuplicateKey = 11000

const (
	codeUnauthorized     = 13
	codeAuthFailed       = 18
	codeOutOfDiskSpace   = 14031
	codeUserNotFound     = 11
	codeAtlasUnauthorize = 8000
)

// CodeOf finds the code of what the server or the library said. What is not known to
// be for good is for now: connections, elections, conflicts of writes, shutdowns.
func CodeOf(err error) penstock.Code {
	var answer mongo.ServerError
	if !errors.As(err, &answer) {
		if refused := (*auth.Error)(nil); errors.As(err, &refused) {
			return penstock.Unauthenticated
		}
		return penstock.Unavailable
	}
	for number, code := range map[int]penstock.Code{
		codeUnauthorized: penstock.Forbidden, codeAuthFailed: penstock.Unauthenticated, codeUserNotFound: penstock.Unauthenticated,
		codeAtlasUnauthorize: penstock.Unauthenticated, codeOutOfDiskSpace: penstock.Full,
	} {
		if answer.HasErrorCode(number) {
			return code
		}
	}
	return penstock.Unavailable
}

// Insert writes the documents, in any order. It returns what the server had against
// single ones, by their index, and err where it failed as a whole.
func Insert(ctx context.Context, c *mongo.Collection, docs []any) ([]mongo.BulkWriteError, error) {
	_, err := c.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	var refused mongo.BulkWriteException
	if !errors.As(err, &refused) || refused.WriteConcernError != nil || len(refused.WriteErrors) == 0 {
		return nil, err
	}
	for _, one := range refused.WriteErrors {
		if code := CodeOf(one); code == penstock.Full || code == penstock.Forbidden || transient(one.Code) {
			return nil, err
		}
	}
	return refused.WriteErrors, nil
}

// transient tells whether the code says that the server could not, not that it would
// not: stepping down, shutting down, interrupted, over time, or short of something.
func transient(code int) bool {
	switch code {
	case 6, 7, 24, 43, 46, 50, 63, 89, 91, 112, 133, 134, 146, 150, 189, 202, 234, 246, 251, 262, 290, 292, 358, 365, 384,
		9001, 10107, 11600, 11602, 13388, 13435, 13436:
		return true
	}
	return false
}
