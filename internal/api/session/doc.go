// Package session lets people sign in: a token is shown once and exchanged for a
// cookie that a page's scripts cannot read. The table of who is signed in stands
// in memory alone, is bounded, and ends with the gateway.
package session
