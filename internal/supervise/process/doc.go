// Package process starts programs, reaps them and whatever they leave behind, and
// ends whole trees of processes. It takes over all children of its own process,
// adopted ones too, so only one [Keeper] may be in a process and nothing else
// there may start children.
package process
