// Package stall finds stages that stand still: work that is under way for longer
// than its stage may take. It names the stage and the goroutine, keeps all stacks
// in a file, and says so until it moves on.
package stall
