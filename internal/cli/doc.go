// Package cli is the command line, a file a command. What a command prints to
// standard output is data; messages go to standard error. Commands that concern a
// running gateway speak to its HTTP API; they read from its data directory only
// what says how to reach it: address, certificate and token.
package cli
