package link

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// dnpTable is that of CRC-16/DNP, for four bits at a time. Its distance of six
// bits holds to 135 bits: the header has 64.
var dnpTable = [16]uint16{
	0x0000, 0xb26b, 0x29af, 0x9bc4, 0x535e, 0xe135, 0x7af1, 0xc89a,
	0xa6bc, 0x14d7, 0x8f13, 0x3d78, 0xf5e2, 0x4789, 0xdc4d, 0x6e26,
}

// headerCheck returns the CRC-16/DNP of b.
func headerCheck(b []byte) uint16 {
	var crc uint16
	for _, v := range b {
		crc ^= uint16(v)
		crc = crc>>4 ^ dnpTable[crc&15]
		crc = crc>>4 ^ dnpTable[crc&15]
	}
	return ^crc
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the CRC-32 that features ask for.
func checksum(features byte, b []byte) uint32 {
	if features&FeatureCRC32C != 0 {
		return crc32.Checksum(b, castagnoli)
	}
	return crc32.ChecksumIEEE(b)
}

// variantOf returns the name of the CRC-32 under which b has the checksum sum,
// among those that programs compute by mistake, and "" for none. The name of
// the right one is returned when only its bytes are reversed.
func variantOf(b []byte, sum uint32) string {
	ieee, forward := crc32.ChecksumIEEE(b), forwardCRC(b)
	for _, v := range [...]struct {
		name string
		crc  uint32
	}{
		{"CRC-32/ISO-HDLC", ieee},
		{"CRC-32C", crc32.Checksum(b, castagnoli)},
		{"CRC-32/JAMCRC", ^ieee},
		{"CRC-32/MPEG-2", forward},
		{"CRC-32/BZIP2", ^forward},
	} {
		if v.crc == sum {
			return v.name
		}
		if bits.ReverseBytes32(v.crc) == sum {
			return v.name + " with its bytes reversed"
		}
	}
	return ""
}

// forwardCRC returns the CRC-32/MPEG-2 of b: the polynomial of ISO-HDLC with the
// highest bit first.
func forwardCRC(b []byte) uint32 {
	var table [256]uint32
	for i := range table {
		crc := uint32(i) << 24
		for range 8 {
			crc = crc<<1 ^ crc>>31*0x04C11DB7
		}
		table[i] = crc
	}
	crc := ^uint32(0)
	for _, v := range b {
		crc = crc<<8 ^ table[byte(crc>>24)^v]
	}
	return crc
}

// appendChecksum ends a frame: it appends the checksum of what begins at start.
func appendChecksum(dst []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[start+1], dst[start:]))
}
