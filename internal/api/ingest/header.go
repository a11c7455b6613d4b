package ingest

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// header is what the header of a request says about its reports.
type header struct {
	media       string
	key         string
	checksum    uint32
	hasChecksum bool
	gzip        bool
}

// maxHeaderKey leaves room for what tells the parts of a request apart: see
// [Handler.lines].
const maxHeaderKey = penstock.MaxKey - 25

// parseHeader reads the header of a request. Mapping is the declared mapping that
// it asks for, which then says what the body is, whatever its Content-Type.
func parseHeader(r *http.Request, mapping string) (h header, err error) {
	if h.media, err = mapping, checkMapping(mapping); mapping == "" {
		h.media, err = parseMedia(r.Header["Content-Type"])
	}
	if err != nil {
		return h, err
	}
	if h.gzip, err = parseEncoding(r.Header["Content-Encoding"]); err != nil {
		return h, err
	}
	if values, ok := r.Header["Penstock-Crc32"]; ok {
		h.hasChecksum = true
		if h.checksum, err = parseChecksum(values); err != nil {
			return h, err
		}
	}
	if values, ok := r.Header["Idempotency-Key"]; ok {
		if h.key, err = parseKey(values); err != nil {
			return h, err
		}
	}
	return h, nil
}

// checkMapping refuses what can be no mapping's name, such as a media type.
func checkMapping(name string) error {
	if strings.ContainsAny(name, "/; ") {
		return penstock.Errorf(penstock.Invalid, "mapping=%.80q: a mapping is named as in the configuration.", name)
	}
	return nil
}

func parseMedia(values []string) (string, error) {
	if len(values) != 1 {
		return "", penstock.Errorf(penstock.Unsupported, "The request needs one header Content-Type.")
	}
	switch values[0] {
	case web.JSONType, mediaNDJSON, mediaBinary, mediaForwarded: // without a look at parameters
		return values[0], nil
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", penstock.Errorf(penstock.Unsupported, "The Content-Type %.80q cannot be read.", values[0])
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return "", penstock.Errorf(penstock.Unsupported, "The charset %.40q is not known: JSON is UTF-8.", charset)
	}
	switch media {
	case web.JSONType, mediaNDJSON, mediaBinary, mediaForwarded:
		return media, nil
	case "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return mediaNDJSON, nil
	}
	return "", penstock.Errorf(penstock.Unsupported, "Reports of the Content-Type %.80q are not known.", media)
}

func parseEncoding(values []string) (gzip bool, err error) {
	if len(values) == 0 {
		return false, nil
	}
	if len(values) == 1 {
		switch strings.ToLower(strings.TrimSpace(values[0])) {
		case "gzip", "x-gzip":
			return true, nil
		case "", "identity":
			return false, nil
		}
	}
	return false, penstock.Errorf(penstock.Unsupported, "The Content-Encoding %.80q is not known: it is gzip, once, or identity.", strings.Join(values, ", "))
}

func parseChecksum(values []string) (uint32, error) {
	if len(values) == 1 && len(values[0]) == 8 {
		// A sign or an underscore makes ParseUint fail, as it should here.
		if n, err := strconv.ParseUint(values[0], 16, 32); err == nil {
			return uint32(n), nil
		}
	}
	return 0, penstock.Errorf(penstock.Invalid, "Penstock-Crc32 holds %.40q: it is 8 hexadecimal digits, once.", strings.Join(values, ", "))
}

// parseKey reads an Idempotency-Key: a string of RFC 8941, as the IETF's draft
// has it, or the same characters without quotes, as most clients send them. Both
// name the same key.
func parseKey(values []string) (string, error) {
	bad := func(why string) (string, error) {
		return "", penstock.Errorf(penstock.Invalid, "The Idempotency-Key %s.", why)
	}
	if len(values) != 1 {
		return bad("stands there more than once")
	}
	key := strings.TrimSpace(values[0])
	if inner, quoted := strings.CutPrefix(key, `"`); quoted {
		var ok bool
		if key, ok = unquote(inner); !ok {
			return bad("is not a quoted string of printable ASCII")
		}
	} else if strings.ContainsAny(key, "\",;\\ ") {
		return bad("holds a character that needs quotes around the key")
	}
	for _, b := range []byte(key) {
		if b < 0x20 || b > 0x7e {
			return bad("holds a character that is not printable ASCII")
		}
	}
	if key == "" || len(key) > maxHeaderKey {
		return bad("has " + strconv.Itoa(len(key)) + " characters, and may have 1 to " + strconv.Itoa(maxHeaderKey))
	}
	return key, nil
}

// unquote reads a quoted string of which the first quote is gone.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}
