package framing

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/checksum"
	"github.com/penstock/penstock/internal/suggest"
)

// Config says how frames are told. Exactly one of Length, Size, Delimiter, Between
// and Stuffing is set.
type Config struct {
	Length    *Length   `yaml:"length,omitempty" jsonschema_description:"a field tells how long the frame is"`
	Size      int       `yaml:"size,omitempty" jsonschema_description:"every frame has this many bytes, start and end among them"`
	Delimiter Octets    `yaml:"delimiter,omitempty" jsonschema_description:"frames end with this, such as \"\\r\\n\" or 0x0D0A"`
	Between   *Between  `yaml:"between,omitempty" jsonschema_description:"frames stand between two marks"`
	Stuffing  string    `yaml:"stuffing,omitempty" jsonschema_description:"slip or cobs"`
	Start     Octets    `yaml:"start,omitempty" jsonschema_description:"with length and size: the first bytes of every frame, such as 0x68; the more the better after noise"`
	End       Octets    `yaml:"end,omitempty" jsonschema_description:"with length and size: the last bytes of every frame, behind the checksum"`
	Checksum  *Checksum `yaml:"checksum,omitempty" jsonschema_description:"how a frame proves that it came whole; none when left out"`
	Max       int       `yaml:"max,omitempty" jsonschema_description:"bytes of the longest frame; what claims to be longer is noise; 1024 when left out"`
}

// Length is where the length of a frame stands.
type Length struct {
	At    int    `yaml:"at" jsonschema_description:"first byte of the field, counted from the first byte of the frame"`
	Size  int    `yaml:"size,omitempty" jsonschema_description:"bytes of the field, 1 (when left out) to 4"`
	Order string `yaml:"order,omitempty" jsonschema_description:"big (when left out) or little"`
	Adds  int    `yaml:"adds,omitempty" jsonschema_description:"what the whole frame has beyond the number in the field, checksum, start and end among it; with checksum.head or block: without any checksums"`
	// Repeated is the way of FT1.2.
	Repeated bool `yaml:"repeated,omitempty" jsonschema_description:"the field stands twice, and start again behind it: 68 L L 68 in IEC 60870-5-101 and M-Bus"`
}

// Between are the marks around a frame.
type Between struct {
	Start  Octets `yaml:"start" jsonschema_description:"mark at the beginning, such as 0x02 or $"`
	End    Octets `yaml:"end" jsonschema_description:"mark at the end, such as 0x03"`
	Escape Octets `yaml:"escape,omitempty" jsonschema_description:"byte that stands before one that would be taken for a mark"`
	Mask   Octets `yaml:"mask,omitempty" jsonschema_description:"what the byte behind an escape was combined with (exclusive or), such as 0x20"`
}

// Checksum is where the checksum of a frame stands and what it covers.
type Checksum struct {
	Name   string `yaml:"name" jsonschema_description:"name of the checksum, such as crc-16/modbus, crc-32/iso-hdlc, sum8, xor8"`
	Order  string `yaml:"order,omitempty" jsonschema_description:"order of its bytes: little (when left out) or big"`
	Hex    bool   `yaml:"hex,omitempty" jsonschema_description:"it is written in hexadecimal digits"`
	After  Octets `yaml:"after,omitempty" jsonschema_description:"what stands between the content and the checksum and is covered by neither, such as *"`
	From   int    `yaml:"from,omitempty" jsonschema_description:"first byte that it covers, counted from the first byte of the frame, with marks from the first behind the mark"`
	Head   int    `yaml:"head,omitempty" jsonschema_description:"with length: the first bytes of the frame, its length among them, have a checksum of their own; 8 in DNP3, 10 in wireless M-Bus"`
	Block  int    `yaml:"block,omitempty" jsonschema_description:"with length: behind the head, each so many bytes have a checksum of their own; 16 in DNP3 and wireless M-Bus. The mapping gets the frame without checksums"`
	Behind bool   `yaml:"behind,omitempty" jsonschema_description:"with between: it stands behind the end mark and covers that too"`
}

// Limits of a configuration.
const (
	defaultMax = 1024
	longest    = 64 << 10
	maxMark    = 16
)

// Octets are bytes as they are written in configuration: 0x and hexadecimal
// digits, or the text itself.
type Octets string

// UnmarshalText reads the bytes.
func (o *Octets) UnmarshalText(text []byte) error {
	digits, isHex := strings.CutPrefix(string(text), "0x")
	if !isHex {
		*o = Octets(text)
		return nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) == 0 {
		return penstock.Errorf(penstock.Invalid, "%.40q are no bytes: write two hexadecimal digits for each behind 0x, or a text", text)
	}
	*o = Octets(b)
	return nil
}

// MarshalText writes the bytes so that they can be read again.
func (o Octets) MarshalText() ([]byte, error) {
	if o == "" {
		return nil, nil
	}
	return []byte("0x" + strings.ToUpper(hex.EncodeToString([]byte(o)))), nil
}

// Validate returns all that is wrong, each with its key.
func (c *Config) Validate() error {
	_, err := New(*c)
	return err
}

// check returns all that is wrong with the configuration.
func (c *Config) check() error {
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, penstock.Errorf(penstock.Invalid, format, args...))
	}
	if ways := c.ways(); ways != 1 {
		refuse("length: exactly one of length, size, delimiter, between and stuffing says how frames are told; %d of them do", ways)
	}
	if c.Max < 0 || c.Max > longest {
		refuse("max: %d is not within 1 to %d bytes", c.Max, longest)
	}
	if (c.Start != "" || c.End != "") && c.Length == nil && c.Size == 0 {
		refuse("start: goes with length and size; between has marks of its own")
	}
	if c.Stuffing != "" && c.Stuffing != "slip" && c.Stuffing != "cobs" {
		refuse("stuffing: %.20q is neither slip nor cobs", c.Stuffing)
	}
	if c.Size < 0 || c.Size > c.max() {
		refuse("size: %d is not within 1 to max, which is %d", c.Size, c.max())
	}
	problems = append(problems, c.Start.check("start"), c.End.check("end"), c.Delimiter.check("delimiter"))
	problems = append(problems, c.Length.check(len(c.Start)), c.Between.check(), c.Checksum.check(c.Between != nil), c.checkBlocks())
	return errors.Join(problems...)
}

// inBlocks tells whether a frame has several checksums.
func (k *Checksum) inBlocks() bool { return k != nil && (k.Head != 0 || k.Block != 0) }

func (c *Config) checkBlocks() error {
	if !c.Checksum.inBlocks() {
		return nil
	}
	k := c.Checksum
	switch {
	case c.Length == nil:
		return penstock.Errorf(penstock.Invalid, "checksum.block: head and block go with length")
	case k.Head < 0 || k.Block < 0 || k.Head > longest || k.Block > longest:
		return penstock.Errorf(penstock.Invalid, "checksum.block: head %d and block %d are no numbers of bytes", k.Head, k.Block)
	case k.Head > 0 && k.Head < newSized(*c, newProof(nil)).front():
		return penstock.Errorf(penstock.Invalid, "checksum.head: the length stands behind the %d bytes of the head: it is to be proven before it is believed", k.Head)
	case k.Name == "none" || k.Hex || k.After != "" || k.From != 0 || c.End != "":
		return penstock.Errorf(penstock.Invalid, "checksum.block: with head and block there is a checksum, and none of hex, after, from and end")
	}
	return nil
}

// ways returns how many ways of telling frames are set.
func (c *Config) ways() int {
	n := 0
	for _, set := range []bool{c.Length != nil, c.Size != 0, c.Delimiter != "", c.Between != nil, c.Stuffing != ""} {
		if set {
			n++
		}
	}
	return n
}

func (o Octets) check(key string) error {
	if len(o) > maxMark {
		return penstock.Errorf(penstock.Invalid, "%s: has %d bytes, and may have %d", key, len(o), maxMark)
	}
	return nil
}

func (c *Config) max() int {
	if c.Max == 0 {
		return defaultMax
	}
	return c.Max
}

func (l *Length) check(start int) error {
	switch {
	case l == nil:
	case l.Size < 0 || l.Size > 4:
		return penstock.Errorf(penstock.Invalid, "length.size: %d is not within 1 to 4 bytes", l.Size)
	case l.At < start || l.At > longest:
		return penstock.Errorf(penstock.Invalid, "length.at: %d is not behind the %d bytes of start", l.At, start)
	case l.Adds < -longest || l.Adds > longest:
		return penstock.Errorf(penstock.Invalid, "length.adds: %d is out of all measure", l.Adds)
	case !isOrder(l.Order):
		return penstock.Errorf(penstock.Invalid, "length.order: %.20q is neither big nor little", l.Order)
	}
	return nil
}

func isOrder(name string) bool { return slices.Contains([]string{"", "big", "little"}, name) }

func (b *Between) check() error {
	switch {
	case b == nil:
	case b.Start == "" || b.End == "" || len(b.End) > maxMark || len(b.Start) > maxMark:
		return penstock.Errorf(penstock.Invalid, "between: start and end are marks of 1 to %d bytes; with an end alone it is a delimiter", maxMark)
	case len(b.Escape) > 1 || len(b.Mask) > 1:
		return penstock.Errorf(penstock.Invalid, "between.escape: escape and mask are one byte each")
	case b.Mask != "" && b.Escape == "":
		return penstock.Errorf(penstock.Invalid, "between.mask: goes with an escape")
	}
	return nil
}

func (k *Checksum) check(marks bool) error {
	if k == nil {
		return nil
	}
	if _, ok := checksum.Find(k.Name); !ok {
		known := checksum.Names()
		if near := suggest.Nearest(k.Name, known); near != "" {
			return penstock.Errorf(penstock.Invalid, "checksum.name: there is no %.40q; did you mean %s?", k.Name, near)
		}
		return penstock.Errorf(penstock.Invalid, "checksum.name: there is no %.40q: there are %s", k.Name, strings.Join(known, ", "))
	}
	switch {
	case !isOrder(k.Order):
		return penstock.Errorf(penstock.Invalid, "checksum.order: %.20q is neither big nor little", k.Order)
	case k.From < 0 || k.From > longest:
		return penstock.Errorf(penstock.Invalid, "checksum.from: %d is no place in a frame", k.From)
	case k.Behind && !marks:
		return penstock.Errorf(penstock.Invalid, "checksum.behind: goes with between")
	case len(k.After) > maxMark:
		return penstock.Errorf(penstock.Invalid, "checksum.after: has %d bytes, and may have %d", len(k.After), maxMark)
	}
	return nil
}
