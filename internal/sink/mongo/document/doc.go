// Package document is how a report stands in MongoDB: its document, the document's
// _id, and the values of its samples with all their bits.
package document
