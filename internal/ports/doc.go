// Package ports tells who holds a port of this machine, and frees a port for a
// gateway that is to start there. What it knows it reads from /proc: no other
// program is needed on the machine.
package ports
