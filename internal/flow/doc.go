// Package flow measures the stages that reports go through: how long each takes,
// how much of the time it works, and what is under way in it for how long. It is
// told of every step of every report, so telling it costs a few atomic additions
// and no memory. A nil *Stage and a nil *Slot take what they are told and forget it.
package flow
