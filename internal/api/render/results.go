package render

import (
	"strconv"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
)

// AppendResult appends the answer to one report as a JSON object. Epoch, seq and
// committed stand there for a sequence, key for a key.
func AppendResult(dst []byte, v *penstock.Verdict) []byte {
	dst = appendHead(dst, v.Controller, v.Identity)
	dst = append(dst, `,"result":"`...)
	dst = append(dst, v.Result.String()...)
	dst = append(dst, '"')
	if v.Result == penstock.Rejected {
		dst = append(dst, `,"reason":`...)
		dst = reportjson.AppendString(dst, string(v.Reason))
		if v.Detail != "" {
			dst = append(dst, `,"detail":`...)
			dst = reportjson.AppendString(dst, v.Detail)
		}
	}
	if v.Identity.Form == penstock.Sequence {
		// The mark is of the report's own epoch; before the first commit it is 0.
		dst = append(dst, `,"committed":{`...)
		epoch := v.Committed.Epoch
		if v.Committed.Seq == 0 {
			epoch = v.Identity.Epoch
		}
		dst = appendMark(dst, epoch, v.Committed.Seq)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendHead appends the beginning of an object: whose it is, and which.
func appendHead(dst []byte, controller string, id penstock.Identity) []byte {
	dst = append(dst, `{"controller":`...)
	dst = reportjson.AppendString(dst, controller)
	switch id.Form {
	case penstock.Sequence:
		dst = append(dst, ',')
		dst = appendMark(dst, id.Epoch, id.Seq)
	case penstock.Keyed:
		dst = append(dst, `,"key":`...)
		dst = reportjson.AppendString(dst, id.Key)
	}
	return dst
}

func appendMark(dst []byte, epoch, seq uint64) []byte {
	dst = append(dst, `"epoch":`...)
	dst = strconv.AppendUint(dst, epoch, 10)
	dst = append(dst, `,"seq":`...)
	return strconv.AppendUint(dst, seq, 10)
}

// AppendReport appends a settled report with the samples that keep lets through,
// as the event stream shows it.
func AppendReport(dst []byte, r *penstock.Report, f reportjson.TimeFormat, keep func(point string) bool) []byte {
	dst = appendHead(dst, r.Controller, r.Identity)
	dst = append(dst, `,"samples":[`...)
	first := true
	for i := range r.Samples {
		s := &r.Samples[i]
		if !keep(s.Point) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, `{"point":`...)
		dst = reportjson.AppendString(dst, s.Point)
		dst = append(dst, `,"time":`...)
		dst = reportjson.AppendTime(dst, s.SourceTime, f)
		dst = append(dst, `,"value":`...)
		dst = reportjson.AppendValue(dst, s.Value)
		dst = append(dst, `,"status":`...)
		dst = strconv.AppendUint(dst, uint64(s.Status), 10)
		if s.Unit != "" {
			dst = append(dst, `,"unit":`...)
			dst = reportjson.AppendString(dst, s.Unit)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}
