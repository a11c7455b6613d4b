// Package tree reads payloads as trees, and the paths and templates that lead to
// what is in them.
package tree
