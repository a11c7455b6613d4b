// Package session opens sessions with OPC UA servers: it chooses the endpoint,
// decides whether to believe the server's certificate, shows our own and the
// user, and speaks afterwards through requests and answers only. What the library
// does by itself beside that, it is kept from doing.
package session
