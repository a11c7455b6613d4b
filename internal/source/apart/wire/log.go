package wire

import (
	"fmt"
	"log/slog"
	"time"
)

// Record is a record of the log with its attributes, those of groups with the
// group's name before theirs.
type Record struct {
	Time  time.Time
	Level slog.Level
	Text  string
	Attrs []slog.Attr
}

// Record writes a record. Of values that are no numbers, times or truths the text
// crosses.
func (o *Out) Record(r Record) {
	o.Int(r.Time.UnixNano())
	o.Int(int64(r.Level))
	o.Text(r.Text)
	o.Uint(uint64(len(r.Attrs)))
	for _, a := range r.Attrs {
		o.Text(a.Key)
		o.value(a.Value)
	}
}

// Record reads a record.
func (i *In) Record() Record {
	r := Record{Time: time.Unix(0, i.Int()), Level: slog.Level(i.Int()), Text: i.Text()}
	for range i.Each() {
		r.Attrs = append(r.Attrs, slog.Attr{Key: i.Text(), Value: i.value()})
	}
	return r
}

func (o *Out) value(v slog.Value) {
	switch kind := v.Kind(); kind {
	case slog.KindInt64, slog.KindDuration, slog.KindTime:
		o.Uint(uint64(kind))
		switch kind {
		case slog.KindInt64:
			o.Int(v.Int64())
		case slog.KindDuration:
			o.Int(int64(v.Duration()))
		default:
			o.Int(v.Time().UnixNano())
		}
	case slog.KindUint64:
		o.Uint(uint64(kind))
		o.Uint(v.Uint64())
	case slog.KindFloat64:
		o.Uint(uint64(kind))
		o.Float(v.Float64())
	case slog.KindBool:
		o.Uint(uint64(kind))
		o.Bool(v.Bool())
	default:
		o.Uint(uint64(slog.KindString))
		o.Text(textOf(v))
	}
}

// textOf returns the text of a value, also where the value's own method fails.
func textOf(v slog.Value) string {
	if v.Kind() != slog.KindAny {
		return v.String()
	}
	return fmt.Sprint(v.Any()) // it survives a panic of a method
}

func (i *In) value() slog.Value {
	switch slog.Kind(i.Uint()) {
	case slog.KindInt64:
		return slog.Int64Value(i.Int())
	case slog.KindDuration:
		return slog.DurationValue(time.Duration(i.Int()))
	case slog.KindTime:
		return slog.TimeValue(time.Unix(0, i.Int()))
	case slog.KindUint64:
		return slog.Uint64Value(i.Uint())
	case slog.KindFloat64:
		return slog.Float64Value(i.Float())
	case slog.KindBool:
		return slog.BoolValue(i.Bool())
	case slog.KindString:
		return slog.StringValue(i.Text())
	}
	i.fail()
	return slog.Value{}
}
