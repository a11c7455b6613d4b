// Package keyring keeps the keys of a node and seals what stands on its disk.
//
// A key-encryption key (KEK) lies in a file of its own, which may stand apart
// from the data. It seals the keyring: the node's id and the data keys, in two
// copies. A data key seals nothing itself: each file or run has a [Stream] with
// a key derived from the data key and a fresh salt, so that no nonce can ever
// come twice under one key.
package keyring
