package main

import (
	"context"

	"github.com/penstock/penstock/internal/app/offline"
	"github.com/penstock/penstock/internal/cli"
	"github.com/penstock/penstock/internal/spool/inspect"
)

// shelf reads spools for the commands.
type shelf struct{}

// Inspect implements [cli.SpoolReader].
func (shelf) Inspect(ctx context.Context, at cli.SpoolPlace, each func(cli.SpoolFrame) error) (cli.SpoolReport, error) {
	found, err := offline.InspectSpool(at.Data, at.Keys, func(f inspect.Frame) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return each(cli.SpoolFrame{
			Segment: f.Segment, Offset: f.Offset, Size: f.Size(), Number: f.Number, Type: f.Type.String(),
			First: f.First, Entries: int(f.Count), Acked: f.Acked, Time: f.At(), Void: f.Void, Origin: f.Origin,
		})
	})
	if err != nil {
		return cli.SpoolReport{}, err
	}
	r := cli.SpoolReport{
		Segments: len(found.Segments), Frames: found.Frames, Entries: found.Entries, Bytes: found.Bytes,
		First: found.First, Last: found.Last, Sound: found.Sound(),
		Damage: []cli.SpoolDamage{}, Notes: append([]string{}, found.Notes...),
	}
	for _, d := range found.Damage {
		r.Damage = append(r.Damage, cli.SpoolDamage{
			Path: d.Path, From: d.From, To: d.To, What: d.What, Lost: append([]string{}, offline.Lost(d)...),
		})
	}
	for _, s := range found.Snapshots {
		if s.Err != nil {
			r.Notes = append(r.Notes, s.Path+" cannot be read: "+s.Err.Error())
		}
	}
	return r, nil
}
