// Package credential keeps who may speak to a gateway and as whom: tokens, keys
// and client certificates. Of a token a digest is kept; a key is kept itself,
// because both ends work with it; of a certificate its subject.
package credential
