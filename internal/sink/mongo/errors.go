package mongo

import (
	"context"
	"errors"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"

	"github.com/penstock/penstock"
)

// Codes of the server. They are those of error_codes.yml in MongoDB's source.
const (
	codeUnauthorized     = 13
	codeAuthFailed       = 18
	codeDuplicateKey     = 11000
	codeOutOfDiskSpace   = 14031
	codeUserNotFound     = 11
	codeAtlasUnauthorize = 8000
)

// translate gives an error of the library or the server one of Penstock's codes.
func (r *Record) translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-r.closed:
		return penstock.Errorf(penstock.Closed, "the record is closed")
	default:
	}
	var own *penstock.Error
	if errors.As(err, &own) { // it says by itself what it is about
		return penstock.Errorf(own.Code, "MongoDB: %w", err)
	}
	code := codeOf(err)
	message := err.Error()
	if secret := r.settings.Password.Reveal(); secret != "" {
		message = strings.ReplaceAll(message, secret, "[redacted]")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return penstock.Errorf(code, "MongoDB: %s took longer than the timeout: %s", doing, message)
	}
	return penstock.Errorf(code, "MongoDB: %s: %s%s", doing, advice(code), message)
}

// codeOf finds the code of what the server or the library said. What is not known to
// be for good is for now: connections, elections, conflicts of writes, shutdowns.
func codeOf(err error) penstock.Code {
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

// advice says what to do, where it is not plain from what the server says.
func advice(code penstock.Code) string {
	switch code {
	case penstock.Forbidden:
		return "the user needs the role readWrite on the database: "
	case penstock.Unauthenticated:
		return "the user, its password or auth_database is wrong: "
	case penstock.Full:
		return "the disk of the database is full; what waits is in the spool: "
	}
	return ""
}

// refusals returns what the server had against single documents of an insert, by
// their index, and err where it failed as a whole.
func refusals(err error) ([]mongo.BulkWriteError, error) {
	var each mongo.BulkWriteException
	if !errors.As(err, &each) || each.WriteConcernError != nil || len(each.WriteErrors) == 0 {
		return nil, err
	}
	for _, one := range each.WriteErrors {
		if code := codeOf(one); code == penstock.Full || code == penstock.Forbidden || transient(one.Code) {
			return nil, err
		}
	}
	return each.WriteErrors, nil
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
