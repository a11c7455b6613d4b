package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock"
)

// JSONType is the media type of JSON.
const JSONType = "application/json"

// jsonHeader is shared by all answers: it is set, never appended to.
var jsonHeader = []string{JSONType}

// SetJSON says in the header that the answer is JSON.
func (c *Call) SetJSON() { c.Header()["Content-Type"] = jsonHeader }

// JSON answers with v.
func (c *Call) JSON(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.SetJSON()
	c.Extend()
	c.WriteHeader(status)
	_, err = c.Write(append(b, '\n'))
	return err
}

// maxManagement bounds the body of a request that manages the gateway.
const maxManagement = 64 << 10

// ReadJSON reads a small body strictly into a struct.
func (c *Call) ReadJSON(into any) error {
	b, err := c.ReadBody(JSONType, maxManagement)
	defer b.Free()
	if err != nil {
		return err
	}
	return strictJSON(b.Bytes, into)
}

// ReadBody reads a body of the media type, without compression; more than limit
// bytes are refused. The caller frees it, also with an error.
func (c *Call) ReadBody(mediaType string, limit int64) (*Body, error) {
	media, _, err := mime.ParseMediaType(c.R.Header.Get("Content-Type"))
	if err != nil || media != mediaType || len(c.R.Header["Content-Encoding"]) > 0 {
		return nil, penstock.Errorf(penstock.Unsupported, "This takes Content-Type: %s without compression.", mediaType)
	}
	b := c.NewBody()
	return b, b.ReadAll(c.RawBody(), limit)
}

// strictJSON reads one JSON object into a struct. Keys that are unknown, written
// in another case or there twice, bad UTF-8 and anything behind the object are
// errors.
func strictJSON(b []byte, into any) error {
	if !utf8.Valid(b) {
		return penstock.Errorf(penstock.Invalid, "the body is not UTF-8")
	}
	known := map[string]bool{}
	for t, i := reflect.TypeOf(into).Elem(), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known[name] = true
	}
	if err := checkKeys(b, known); err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return penstock.Errorf(penstock.Invalid, "the body is not as it should be: %w", err)
	}
	return nil
}

// checkKeys checks the keys of the outermost object, each known one at most once.
func checkKeys(b []byte, known map[string]bool) error {
	d := json.NewDecoder(bytes.NewReader(b))
	depth, isKey := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return penstock.Errorf(penstock.Invalid, "the body is not JSON: %w", err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			if depth == 1 && token != json.Delim('{') || depth > 2 {
				return penstock.Errorf(penstock.Invalid, "the body is one JSON object with nothing deeper than a list in it")
			}
			isKey = depth == 1
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			isKey = depth == 1
			continue
		}
		if depth == 0 {
			return penstock.Errorf(penstock.Invalid, "the body is one JSON object")
		}
		if depth == 1 && isKey {
			name := token.(string) // the decoder gives a string where a key must be
			if !known[name] {
				return penstock.Errorf(penstock.Invalid, "the key %.60q is unknown or there twice", name)
			}
			delete(known, name)
		}
		if depth == 1 {
			isKey = !isKey
		}
	}
}
