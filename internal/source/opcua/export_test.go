package opcua

// The arithmetic of sequence numbers, for tests.
var (
	Follows = follows
	Ahead   = ahead
)
