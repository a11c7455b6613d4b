// Package outbox keeps a controller's reports on its disk until the gateway's
// record has them. What [Outbox.Append] returned without an error survives a
// power cut at any moment, with its number.
//
// # Files
//
// An outbox is a directory of segments, NNNNNNNNNNNNNNNN.box with a number that
// grows, and nothing else that counts. All numbers have the lowest byte first.
//
//	header  magic "PSOX", version 1, features 0, 2 bytes of zero,
//	        fixed64 epoch, fixed64 first, fixed32 CRC-32C of the 24 bytes before
//	frame   fixed32 length of kind and payload, fixed32 CRC-32C of the length,
//	        kind and payload, byte kind, payload
//	kind 1  fixed64 epoch, seq, and the report in the encoding of package link
//	kind 2  fixed64 epoch, from, to: these reports were dropped, to make room for the
//	        report that follows in the segment; without it the frame says nothing
//
// A header says: reports of this epoch from first on, and of later epochs, that
// stand in segments with a lower number do not count. That is how a segment
// whose sync failed is left behind, and how the end of the log is written anew.
//
// # Why nothing is lost or doubled
//
//   - A report is handed to the sender only after the sync that covers it.
//   - After a failed sync nothing is written to that file any more. The numbers
//     of its last frames are given out again, behind a header that voids them.
//   - Opening writes the newest segment anew and syncs it before anything of it
//     is sent: that a page can be read does not say that it is on the disk.
//   - When a part cannot be read, so that a number might be given out twice, a
//     new epoch begins. The damaged file is set aside, not deleted.
package outbox
