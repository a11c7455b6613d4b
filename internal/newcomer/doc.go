// Package newcomer sees that a node which shares its record with others answers for
// a controller that it has not met only when it has asked the record what the others
// took of it. A controller that came to another node before would else hear of a last
// epoch, and of marks, that are not true, and might use its numbers again.
//
// A question delays nobody but the one who asked: reports of strangers wait beside
// the intake, in memory, until the record has answered or a bounded time is over. When
// the record cannot be asked, strangers are told to come later. Whom the node knows
// goes on with what it knows: the record still stores each report once.
package newcomer
