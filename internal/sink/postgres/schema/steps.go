package schema

import _ "embed"

//go:embed migrations/0001.sql
var first string

//go:embed migrations/0002.sql
var refused string

// migration is a step from one version of the tables to the next.
type migration struct {
	number int
	// oldest is the version of the oldest program that may still write after this
	// step. A step that only adds leaves it as it was, so that nodes are upgraded one
	// after the other; what an older program needs goes a version later at the
	// earliest, in a step that raises it.
	oldest int
	text   string
}

// The list stands last in its file: a test builds the program of the next version by
// adding a step to it.
var steps = []migration{
	{number: 1, oldest: 1, text: first},
	{number: 2, oldest: 1, text: refused},
}
