// Package backup is what a backup of a gateway is: how it is sent, received, verified
// and put back.
//
// # The format
//
// A backup is a directory, named by its time, or a tar archive of one:
//
//	manifest.json         what it holds, of which moment: see [Manifest]
//	manifest.json.sha256  SHA-256 of the manifest, in the form of sha256sum
//	spool/ store/ keys/   the log, the embedded store and the keyring, as on the node's disk
//	state/                everything else below the data directory
//	config/               the configuration file and the .env beside it
//
// What is sealed on the node's disk stays as it is. What is not (state, config) is
// sealed under the node's keyring, so that a backup shows nothing to who has not the
// key-encryption key, which is never in it but wrapped with a passphrase. The manifest
// comes last: what has none is no backup.
//
// The log is frozen after the store was copied, and nothing of the log is released in
// between: the log of a backup always reaches from the place of the store to its own end.
package backup
