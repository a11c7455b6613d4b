// Package programs holds the commands of the process manager: one that is it, and
// those that ask the one that runs, over its control socket.
package programs
