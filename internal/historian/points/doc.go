// Package points keeps what is known of the points of controllers: names, units,
// kinds and latest samples. A node has up to a million of them in memory, so
// each has 32 bytes, and controllers with the same points share the names.
package points
