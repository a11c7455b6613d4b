// Package shell is what all commands share: the process around them, the exit
// codes, and how a gateway is reached.
package shell
