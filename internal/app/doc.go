// Package app is the composition root: a configuration goes in, a running node
// comes out. It is the only package that knows all the others.
package app
