package wire

// CRC returns the CRC-16/MODBUS of b. On the wire its low byte comes first. It
// goes bit by bit: a frame is short, and the line is slow.
func CRC(b []byte) uint16 {
	c := uint16(0xFFFF)
	for _, x := range b {
		c ^= uint16(x)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
	}
	return c
}

// sealed tells whether b ends with the CRC of what is before.
func sealed(b []byte) bool {
	n := len(b) - 2
	c := CRC(b[:n])
	return b[n] == byte(c) && b[n+1] == byte(c>>8)
}

// seal appends the CRC of frame.
func seal(frame []byte) []byte {
	c := CRC(frame)
	return append(frame, byte(c), byte(c>>8))
}
