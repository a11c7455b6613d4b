package scan

// Guess is what the words look like.
func Guess(words []uint16) (order string, start int) { return guess(words) }
