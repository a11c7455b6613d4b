// Package crashfs is a file system in memory that keeps a journal of every
// operation, fails where a test says so, and shows what a power cut or a kill
// after any operation would leave on the disk.
//
// # What it assumes of a disk
//
// Synced bytes and synced directory entries stay. Of the writes since the last
// successful sync of a file any part may stay: a write is torn at any byte, or
// any of its sectors is there and any other not. Bytes that a write does not
// cover are never harmed. Entries made, renamed or removed since the last sync
// of their directory may be there or not, each by itself. A sync of a file does
// not make its entry durable. After a failed sync the pages count as clean: the
// process goes on seeing its bytes, the next sync succeeds, and the bytes may
// be gone after the crash.
package crashfs
