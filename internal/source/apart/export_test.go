package apart

// LastWords returns what is kept of what a process wrote, piece by piece.
func LastWords(pieces ...string) (text, gist string) {
	var w lastWords
	for _, piece := range pieces {
		_, _ = w.Write([]byte(piece)) // it never fails
	}
	return w.text(), w.gist()
}
