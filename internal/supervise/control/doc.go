// Package control is how a person speaks to a manager that runs: HTTP with JSON
// over a unix socket in the runtime directory, which its owner alone may open.
package control
