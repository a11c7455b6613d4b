// Package carrier moves frames of the link protocol between a controller and a
// gateway: in a TLS connection, or in sealed datagrams. It knows nothing of what
// the frames say.
package carrier
