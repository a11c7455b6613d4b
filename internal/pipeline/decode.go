package pipeline

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// DecodeConfig are the settings of the step that turns a body into reports.
type DecodeConfig struct {
	MaxReports int `yaml:"max_reports" jsonschema_description:"reports that one body may hold"`
	MaxSamples int `yaml:"max_samples" jsonschema_description:"samples that the reports of one body may hold together"`
}

func defaultDecode() *DecodeConfig { return &DecodeConfig{MaxReports: 10_000, MaxSamples: 1_000_000} }

// Validate returns an error of code [penstock.Invalid] when a setting breaks a rule.
func (c *DecodeConfig) Validate() error {
	if c.MaxReports < 1 {
		return penstock.Errorf(penstock.Invalid, "max_reports: %d is less than 1", c.MaxReports)
	}
	if c.MaxSamples < 1 {
		return penstock.Errorf(penstock.Invalid, "max_samples: %d is less than 1", c.MaxSamples)
	}
	return nil
}

// Format is a way to write reports in a body.
type Format struct {
	// Decode adds the reports of the body to the batch. An error of it, or of the
	// batch, refuses the whole body: code [penstock.TooLarge] for a limit, any
	// other for what cannot be read. The reports keep nothing of the body, and Decode
	// nothing of the reports: those of [Batch.Report] are used again for another body
	// once the envelope was admitted. It is called from many goroutines.
	Decode func(body []byte, b *Batch) error
	// Literal says that whole numbers come without a type, as in JSON.
	Literal bool
	// Received says that the reports have the time when another gateway received them,
	// and keep it.
	Received bool
}

// decode turns the body into reports, gives them what the envelope knows of them,
// and their fingerprints. What the source has refused is refused here.
type decode struct {
	config  DecodeConfig
	formats map[string]Format
	mapping func(name string) (Format, bool)
	buffers sync.Pool // of *[]byte
}

func newDecode(c DecodeConfig, deps Deps) *decode {
	return &decode{config: c, formats: deps.Formats, mapping: deps.Mapping, buffers: sync.Pool{New: func() any { return new([]byte) }}}
}

func (s *decode) onEnvelope(_ context.Context, w *passage) *refused {
	e := w.envelope
	if e.Refusal != nil {
		return refusedBody(e.Refusal)
	}
	format, err := s.format(e.ContentType)
	if err != nil {
		return refusedBody(err)
	}
	b := &w.batch
	b.limits, b.envelope = s.config, e
	err = format.Decode(e.Body, b)
	if err == nil && len(b.items) == 0 {
		err = penstock.Errorf(penstock.Invalid, "the body holds no report")
	}
	if err != nil {
		return refusedBody(err)
	}
	s.complete(e, b, format)
	w.items, w.literal = b.items, format.Literal
	return nil
}

// format returns the format of a media type, or of a declared mapping, whose
// name has no slash.
func (s *decode) format(contentType string) (Format, error) {
	if format, ok := s.formats[mediaType(contentType)]; ok {
		return format, nil
	}
	if strings.Contains(contentType, "/") || s.mapping == nil {
		return Format{}, penstock.Errorf(penstock.Unsupported, "media type %.80q is not known here: send one of %s",
			contentType, strings.Join(slices.Sorted(maps.Keys(s.formats)), ", "))
	}
	if format, ok := s.mapping(contentType); ok {
		return format, nil
	}
	return Format{}, penstock.Errorf(penstock.Unsupported, "there is no mapping %.80q: it is declared under mappings in the configuration", contentType)
}

func refusedBody(err error) *refused {
	return &refused{reasonOf(err), penstock.Errorf(penstock.CodeOf(err), "decode: %w", err)}
}

func reasonOf(err error) penstock.Reason {
	if penstock.CodeOf(err) == penstock.TooLarge {
		return penstock.ReasonTooLarge
	}
	return penstock.ReasonMalformed
}

// complete gives the reports what the envelope knows, and refuses those whose
// identity or size breaks a rule.
func (s *decode) complete(e *penstock.Envelope, b *Batch, format Format) {
	buffer := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buffer)
	for i := range b.items {
		item := &b.items[i]
		r := item.Report
		r.Source = e.Source
		if item.Forwarded = format.Received; !item.Forwarded {
			r.ReceivedTime = e.ReceivedTime
		}
		if item.Reason != "" {
			continue
		}
		encoding := b.encodings[i]
		if r.Identity.Form == penstock.Natural && e.Key != "" {
			r.Identity = keyOf(e.Key, i)
			encoding = nil
		}
		if err := checkIdentity(r); err != nil {
			item.Reason, item.Detail = penstock.ReasonIdentity, "decode: "+err.Error()
			continue
		}
		if encoding == nil {
			*buffer = link.AppendReport((*buffer)[:0], r)
			encoding = *buffer
		}
		if len(encoding) > penstock.MaxReport {
			item.Reason, item.Detail = penstock.ReasonTooLarge, "decode: a report has at most 1 MiB in binary; this one has "+strconv.Itoa(len(encoding))+" bytes: send it in parts"
			continue
		}
		r.Fingerprint = link.Fingerprint(encoding)
	}
}

// keyOf returns the identity of a report that has none of its own, in an envelope
// with a key: the key for the first one, so that a key used again for another
// number of reports is a conflict, and the key with its place for the others.
func keyOf(key string, index int) penstock.Identity {
	if index > 0 {
		key += "/" + strconv.Itoa(index)
	}
	return penstock.KeyIdentity(key)
}

func checkIdentity(r *penstock.Report) error {
	if r.Identity.Form == penstock.Natural && len(r.Samples) == 0 {
		return penstock.Errorf(penstock.Invalid, "the report has neither sequence, nor key, nor samples: nothing tells it from others")
	}
	return r.Identity.Check()
}

// mediaType returns the media type without its parameters, in lower case.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}
