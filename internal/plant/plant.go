// Package plant names the bugs that are planted on purpose to see that the tests
// catch them. A build without the tag "plants", which is every build that
// anybody runs, has none of them: Bug.On is then the constant false.
package plant

// Bug is a planted bug.
type Bug string

// The planted bugs.
const (
	AckBeforeFsync       Bug = "ack-before-fsync"         // acknowledge once the write returned
	NoDirectoryFsync     Bug = "no-directory-fsync"       // never sync the entry that names a new segment
	RetryAfterFsync      Bug = "retry-after-failed-fsync" // sync the same file again and carry on
	CutAtFirstBad        Bug = "cut-at-first-bad"         // take the first bad frame for the end of the log
	DeleteUnreadable     Bug = "delete-unreadable"        // delete a segment that cannot be read
	AppendToOld          Bug = "append-to-old"            // go on in the segment of an earlier process
	RefusedTailReplayed  Bug = "refused-tail-replayed"    // do not void what a failed fsync refused
	TailNotRewritten     Bug = "tail-not-rewritten"       // trust the page cache after a crash
	SnapshotAfterUnlink  Bug = "snapshot-after-unlink"    // unlink segments before the snapshot that covers them is durable
	DuplicateNotWaiting  Bug = "duplicate-not-waiting"    // answer a duplicate before its original is durable
	WatermarkFromMax     Bug = "watermark-from-max"       // take the highest seq for the contiguous one
	BooksNotInCommit     Bug = "books-not-in-commit"      // count refusals in memory only
	CursorBeforeData     Bug = "cursor-before-data"       // move the record's position before its samples
	AbortKeepsIdentities Bug = "abort-keeps-identities"   // a failed commit leaves its identities settled
)
