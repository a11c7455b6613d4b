package shell

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/manual"
	"github.com/penstock/penstock/internal/config"
)

// The exit codes. Scripts depend on them: a number never changes its meaning.
const (
	ExitOK            = 0
	ExitFailed        = 1
	ExitUsage         = 2
	ExitConfiguration = 3
	ExitUnreachable   = 4
	ExitRefused       = 5
	ExitDamaged       = 6
	ExitLater         = 7
	ExitInterrupted   = 130
)

// ExitCodes returns the table that the help and the manual show.
func ExitCodes() []manual.ExitCode {
	return []manual.ExitCode{
		{Code: ExitOK, Meaning: "done"},
		{Code: ExitFailed, Meaning: "failed for another reason, which the message says"},
		{Code: ExitUsage, Meaning: "the command line is wrong"},
		{Code: ExitConfiguration, Meaning: "the configuration is wrong"},
		{Code: ExitUnreachable, Meaning: "no gateway could be reached"},
		{Code: ExitRefused, Meaning: "the gateway refused the request, or rejected a report"},
		{Code: ExitDamaged, Meaning: "damage or loss was found"},
		{Code: ExitLater, Meaning: "the gateway is busy or full: the same command may succeed later"},
		{Code: ExitInterrupted, Meaning: "interrupted"},
	}
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Exit gives an error the exit code that the process ends with.
func Exit(code int, err error) error { return &exitError{code, err} }

// Usagef returns an error in the command line.
func Usagef(format string, args ...any) error {
	return Exit(ExitUsage, fmt.Errorf(format, args...))
}

// ExitCode returns the code that the process ends with.
func ExitCode(err error) int {
	var own *exitError
	var wrong *config.Error
	var unreachable *apiclient.Unreachable
	var problem *apiclient.Problem
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &wrong):
		return ExitConfiguration
	case errors.As(err, &unreachable):
		return ExitUnreachable
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case penstock.CodeOf(err).Temporary():
		return ExitLater
	case errors.As(err, &problem) && penstock.CodeOf(err) != penstock.Internal:
		return ExitRefused
	}
	return ExitFailed
}
