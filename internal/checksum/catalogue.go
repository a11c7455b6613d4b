package checksum

import (
	"slices"
	"strings"
	"sync"
)

// family is how an algorithm goes over the bytes.
type family uint8

const (
	crc    family = iota
	sum           // of the bytes, modulo 2^width
	negSum        // two's complement of the sum
	xor           // of the bytes
	none
)

// parameters describe an algorithm; those of a CRC are Rocksoft's.
type parameters struct {
	name    string
	family  family
	width   int // bits
	poly    uint32
	init    uint32
	reflect bool // input and output
	xorOut  uint32
	check   uint32 // of "123456789"
}

// catalogue holds all that is known, in the order in which people are told. Each
// of the first of a width is the one meant by a short name.
var catalogue = [...]parameters{
	{"crc-32/iso-hdlc", crc, 32, 0x04C11DB7, 0xFFFFFFFF, true, 0xFFFFFFFF, 0xCBF43926},
	{"crc-32c", crc, 32, 0x1EDC6F41, 0xFFFFFFFF, true, 0xFFFFFFFF, 0xE3069283},
	{"crc-32/mpeg-2", crc, 32, 0x04C11DB7, 0xFFFFFFFF, false, 0, 0x0376E6E7},
	{"crc-32/bzip2", crc, 32, 0x04C11DB7, 0xFFFFFFFF, false, 0xFFFFFFFF, 0xFC891918},
	{"crc-32/jamcrc", crc, 32, 0x04C11DB7, 0xFFFFFFFF, true, 0, 0x340BC6D9},
	{"crc-16/modbus", crc, 16, 0x8005, 0xFFFF, true, 0, 0x4B37},
	{"crc-16/arc", crc, 16, 0x8005, 0, true, 0, 0xBB3D},
	{"crc-16/x-25", crc, 16, 0x1021, 0xFFFF, true, 0xFFFF, 0x906E},
	{"crc-16/dnp", crc, 16, 0x3D65, 0, true, 0xFFFF, 0xEA82},
	{"crc-16/en-13757", crc, 16, 0x3D65, 0, false, 0xFFFF, 0xC2B7},
	{"crc-16/ccitt-false", crc, 16, 0x1021, 0xFFFF, false, 0, 0x29B1},
	{"crc-16/xmodem", crc, 16, 0x1021, 0, false, 0, 0x31C3},
	{"crc-16/kermit", crc, 16, 0x1021, 0, true, 0, 0x2189},
	{"crc-8/smbus", crc, 8, 0x07, 0, false, 0, 0xF4},
	{"crc-8/maxim", crc, 8, 0x31, 0, true, 0, 0xA1},
	{"sum8", sum, 8, 0, 0, false, 0, 0xDD},
	{"sum16", sum, 16, 0, 0, false, 0, 0x01DD},
	{"lrc8", negSum, 8, 0, 0, false, 0, 0x23},
	{"xor8", xor, 8, 0, 0, false, 0, 0x31},
	{"none", none, 0, 0, 0, false, 0, 0},
}

// aliases are other usual names, folded.
var aliases = map[string]string{
	"crc32": "crc-32/iso-hdlc", "crc32/ieee": "crc-32/iso-hdlc", "crc32/castagnoli": "crc-32c", "crc32/iscsi": "crc-32c",
	"crc16/ibm": "crc-16/arc", "crc16/hdlc": "crc-16/x-25", "crc16/ibm-sdlc": "crc-16/x-25", "crc16/ibm-3740": "crc-16/ccitt-false",
	"crc8": "crc-8/smbus", "bcc": "xor8",
}

// algorithms returns all algorithms with their tables, made at the first call.
var algorithms = sync.OnceValue(func() []*Algorithm {
	all := make([]*Algorithm, len(catalogue))
	for i, p := range catalogue {
		all[i] = newAlgorithm(p)
	}
	return all
})

// Find returns the algorithm of that name, whatever its case; "CRC32" means
// CRC-32/ISO-HDLC, as everywhere.
func Find(name string) (*Algorithm, bool) {
	wanted := fold(name)
	if name, ok := aliases[wanted]; ok {
		wanted = fold(name)
	}
	all := algorithms()
	if i := slices.IndexFunc(all, func(a *Algorithm) bool { return fold(a.name) == wanted }); i >= 0 {
		return all[i], true
	}
	return nil, false
}

// fold makes the spellings of a name equal: "CRC-16/MODBUS", "crc16/modbus".
func fold(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if rest, ok := strings.CutPrefix(name, "crc-"); ok {
		return "crc" + rest
	}
	return name
}

// Names returns the names of all algorithms.
func Names() []string {
	names := make([]string, len(catalogue))
	for i, p := range catalogue {
		names[i] = p.name
	}
	return names
}
