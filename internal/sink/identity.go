package sink

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/penstock/penstock"
)

// MaxMessageID is how many bytes a message id has at most: what AMQP has room for.
const MaxMessageID = 255

// MessageID returns the identity of a report as brokers and their consumers know it:
// equal for a report that is sent again, on whatever node and after whatever crash,
// and different for all others. It is
//
//	CONTROLLER/EPOCH/SEQ      with a sequence
//	CONTROLLER/key:KEY        with a key
//	CONTROLLER/natural:HEX    otherwise: a digest of points, source times and content
//
// and, where a key makes that longer than [MaxMessageID], a digest of it.
func MessageID(r *penstock.Report) string {
	id := r.Controller + "/" + r.Identity.String()
	if r.Identity.Form == penstock.Natural {
		id += ":" + naturalDigest(r)
	}
	if len(id) > MaxMessageID {
		sum := sha256.Sum256([]byte(id))
		return r.Controller + "/sha256:" + hex.EncodeToString(sum[:])
	}
	return id
}

// naturalDigest tells the content of a report from that of others. The flags of the
// samples are left out: a report that is sent again after an outage is historical.
func naturalDigest(r *penstock.Report) string {
	h := sha256.New()
	b := binary.BigEndian.AppendUint64(nil, uint64(r.Fingerprint))
	for i := range r.Samples {
		s := &r.Samples[i]
		b = binary.BigEndian.AppendUint32(b, uint32(len(s.Point)))
		b = append(b, s.Point...)
		b = binary.BigEndian.AppendUint64(b, uint64(s.SourceTime))
		_, _ = h.Write(b) // a digest never fails
		b = b[:0]
	}
	_, _ = h.Write(b)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// SampleKey returns the idempotency key of one sample of a report, for where each
// sample is a message of its own. With the controller it is different from all
// others.
func SampleKey(r *penstock.Report, i int) string {
	key := MessageID(r)[len(r.Controller)+1:] + "#" + strconv.Itoa(i)
	if len(key) > penstock.MaxKey {
		sum := sha256.Sum256([]byte(key))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return key
}
