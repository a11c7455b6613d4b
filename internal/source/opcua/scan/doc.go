// Package scan looks at what an OPC UA server has, and writes it as configuration
// for a person to edit. It only reads.
package scan
