// Package doctor checks what a gateway needs of its machine and its peers, and
// says of each thing what was found, why it matters and what mends it. It changes
// nothing but a scratch file in the data directory, with which it measures the
// disk. It works on a broken installation too: a check that cannot be made is a
// finding, and the others go on.
package doctor
