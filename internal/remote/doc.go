// Package remote is how sources and sinks reach the servers of others: the URL of
// a server, with TLS unless it is on this machine, and the connection to it. Below
// it stands what is particular to a protocol that has a source and a sink.
package remote
