package mongo

import (
	"context"
	"errors"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink/mongo/command"
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
	code := command.CodeOf(err)
	message := err.Error()
	if secret := r.settings.Password.Reveal(); secret != "" {
		message = strings.ReplaceAll(message, secret, "[redacted]")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return penstock.Errorf(code, "MongoDB: %s took longer than the timeout: %s", doing, message)
	}
	return penstock.Errorf(code, "MongoDB: %s: %s%s", doing, advice(code), message)
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
