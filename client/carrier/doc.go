// Package carrier moves frames of the link protocol between a controller and a
// gateway: in a TLS connection, in sealed datagrams, or over a serial line. It knows nothing of what
// the frames say.
package carrier
