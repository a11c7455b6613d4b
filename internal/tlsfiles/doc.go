// Package tlsfiles keeps the certificate, the key and the certificate
// authorities of clients that a TLS listener needs: it makes a certificate of
// its own at the first start, reads the files again when they change, and knows
// when the certificate expires. Connections are TLS 1.3 only.
package tlsfiles
