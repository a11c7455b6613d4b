// Package mongotest runs a server that speaks MongoDB's wire protocol for tests, a
// FerretDB with SQLite below it, and a proxy that breaks its connections.
package mongotest
