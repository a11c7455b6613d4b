// Package testkit is what the tests of several packages share: golden files,
// waiting for a condition, a check for goroutines left behind, and certificates.
// Only tests import it.
package testkit
