package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock"
)

// translate gives an error of the library or the server one of Penstock's codes.
func translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	var own *penstock.Error
	if errors.As(err, &own) { // it says by itself what it is about
		return penstock.Errorf(own.Code, "PostgreSQL: %w", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return penstock.Errorf(penstock.Unavailable, "PostgreSQL: %s took longer than the timeout: %w", doing, err)
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return penstock.Errorf(penstock.Unavailable, "PostgreSQL: %s: %w", doing, err)
	}
	return penstock.Errorf(codeOf(answer), "PostgreSQL: %s: %s%w", doing, advice(answer), err)
}

// codeOf finds the code of what the server said. Its classes are those of
// appendix A of PostgreSQL's manual.
func codeOf(e *pgconn.PgError) penstock.Code {
	switch {
	case e.Code == "53100": // disk_full
		return penstock.Full
	case e.Code == "42501": // insufficient_privilege
		return penstock.Forbidden
	case e.Code == "3D000": // the database does not exist
		return penstock.NotFound
	case strings.HasPrefix(e.Code, "28"): // authorization
		return penstock.Unauthenticated
	case dataClass(e.Code):
		return penstock.Invalid
	}
	return penstock.Unavailable // connections, serialization, deadlocks, locks, shutdown, resources
}

// advice says what to do, where it is not plain from what the server says.
func advice(e *pgconn.PgError) string {
	switch e.Code {
	case "42501":
		return "the role lacks a privilege; see the script for a role in Penstock's documentation: "
	case "53100":
		return "the disk of the database is full; what waits is in the spool: "
	}
	return ""
}

// noPartition is what PostgreSQL says to a row for which there is no partition,
// and to one that breaks a constraint.
const checkViolation = "23514"

// dataClass tells whether the code says that a row is refused for what is in it:
// wrong data, a constraint, or a trigger that raised an exception.
func dataClass(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || code == "P0001"
}

// refusesData returns what the server has against the data itself, and whether it
// is that. It is not when a partition was dropped meanwhile.
func refusesData(err error) (string, bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) || !dataClass(e.Code) {
		return "", false
	}
	if e.Code == checkViolation && e.ConstraintName == "" {
		return "", false
	}
	return "the database refuses it: " + e.Message, true
}
