// Package console holds the pages that people see in a browser: built from web/,
// embedded in the binary, and served without anything from elsewhere.
package console
