// Package judge decides what becomes of the reports of a batch, once what the
// database holds of their controllers was read. It is a function of its input: it
// asks the database nothing.
package judge
