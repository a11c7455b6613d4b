// Package watch is the one stream that the console lives on: what a caller may see
// of the gateway, looked at once a second, and sent where it changed.
package watch
