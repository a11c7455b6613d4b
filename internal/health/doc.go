// Package health tells whoever asks whether the gateway lives, has started and
// can acknowledge: over HTTP/1.1 at /livez, /startupz and /readyz, and over gRPC
// as grpc.health.v1, both on one plain port. Components report what they really
// achieve; nothing is guessed from a process being there.
package health
