// Package sink is what an adapter of a destination needs, a folder below this one
// each: what the node lends it and who the node is. An adapter only writes; package
// delivery feeds it.
package sink
