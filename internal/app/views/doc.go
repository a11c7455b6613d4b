// Package views shows parts of a node to other parts, each as that other part declares
// what it asks for.
package views
