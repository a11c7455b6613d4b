package views

import (
	"context"
	"iter"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/query"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/fleet/sheet"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/source"
)

// Queries is the historian as the API asks it.
type Queries struct{ *historian.Historian }

// Series implements query.Historian.
func (q Queries) Series(sel query.Selector) []query.Series {
	found := q.Historian.Series(historian.Selector(sel))
	series := make([]query.Series, len(found))
	for i, s := range found {
		series[i] = query.Series{ID: uint64(s.ID), Controller: s.Controller, Point: s.Point, Unit: s.Unit, Kind: s.Kind}
	}
	return series
}

// Latest implements query.Historian.
func (q Queries) Latest(ctx context.Context, id uint64) (penstock.Sample, bool, error) {
	return q.Historian.Latest(ctx, historian.SeriesID(id))
}

// Samples implements query.Historian.
func (q Queries) Samples(ctx context.Context, id uint64, from, to int64) iter.Seq2[penstock.Sample, error] {
	return q.Historian.Samples(ctx, historian.SeriesID(id), from, to)
}

// Aggregates implements query.Historian.
func (q Queries) Aggregates(ctx context.Context, id uint64, from, to, step int64) iter.Seq2[query.Bucket, error] {
	return func(yield func(query.Bucket, error) bool) {
		for b, err := range q.Historian.Aggregates(ctx, historian.SeriesID(id), from, to, step) {
			if !yield(query.Bucket(b), err) {
				return
			}
		}
	}
}

// Registry is the fleet as the API manages it.
type Registry struct{ *fleet.Fleet }

// Controllers implements api.Registry.
func (r Registry) Controllers() []api.Controller {
	known := r.Fleet.Controllers()
	controllers := make([]api.Controller, len(known))
	for i, c := range known {
		controllers[i] = api.Controller{
			Name: c.Name, State: string(c.State), FirstSeen: c.FirstSeen, LastSeen: c.LastSeen,
			Source: c.Source, LastIdentity: c.LastIdentity, Points: c.Points, Site: c.Site, Line: c.Line,
		}
	}
	return controllers
}

// Credentials implements api.Registry.
func (r Registry) Credentials() []api.Credential {
	known := r.List()
	credentials := make([]api.Credential, len(known))
	for i := range known {
		credentials[i] = shown(known[i])
	}
	return credentials
}

// Add implements api.Registry.
func (r Registry) Add(g api.Grant) (string, api.Credential, error) {
	grant := credential.Grant{Label: g.Label, Kind: credential.Kind(g.Kind), Role: g.Role, Scope: g.Scope}
	if g.Certificate != nil {
		var err error
		if grant.Subject, err = credential.Subject(g.Certificate); err != nil {
			return "", api.Credential{}, penstock.Errorf(penstock.Invalid, "certificate: %w", err)
		}
	}
	secret, c, err := r.Fleet.Add(grant)
	return secret, shown(c), err
}

func shown(c credential.Credential) api.Credential {
	return api.Credential{
		ID: c.ID, Label: c.Label, Kind: string(c.Kind), Role: c.Role, Scope: c.Scope, Subject: c.Subject,
		Created: c.Created, Revoked: c.Revoked, LastUsed: c.LastUsed,
	}
}

// Sheets is the fleet as CSV.
type Sheets struct{ *fleet.Fleet }

// Export implements api.Sheets.
func (s Sheets) Export(shown func(controller string) bool) iter.Seq[[]byte] {
	return sheet.Export(s.Fleet, shown)
}

// Import implements api.Sheets.
func (s Sheets) Import(data []byte, covers func(controller string) error, dry bool) (api.SheetResult, error) {
	r, err := sheet.Import(s.Fleet, data, sheet.Options{Covers: covers, Dry: dry})
	result := api.SheetResult{Rows: r.Rows, Controllers: r.Controllers, Points: r.Points, Places: r.Places, More: r.More}
	for _, p := range r.Problems {
		result.Problems = append(result.Problems, problem.Row{Line: p.Line, Column: p.Column, Detail: p.Text})
	}
	return result, err
}

// ImportCredentials implements api.Sheets.
func (s Sheets) ImportCredentials(text []byte) (api.CredentialsImported, error) {
	done, err := s.Fleet.ImportCredentials(text)
	return api.CredentialsImported{Added: done.Added, Revoked: done.Revoked, Unchanged: done.Unchanged}, err
}

// Marks are the books as sources with sessions ask them.
type Marks struct{ *intake.Intake }

// Marks implements source.Books.
func (m Marks) Marks(controller string, epoch uint64) source.Marks {
	accepted, committed, last := m.MarksOf(controller, epoch)
	return source.Marks{Accepted: accepted.Seq, Committed: committed.Seq, LastEpoch: last}
}

// Books is the ledger as the API shows it.
type Books struct{ *intake.Intake }

// Books implements query.Ledger.
func (b Books) Books() []query.Account {
	var accounts []query.Account
	for _, a := range b.Intake.Books() {
		if a.Controller == "" {
			continue
		}
		accounts = append(accounts, query.Account{
			Controller: a.Controller, Received: a.Books.Received, Accepted: a.Books.Accepted, Duplicate: a.Books.Duplicate,
			Rejected: a.Books.Rejected, Committed: a.Books.Stored, DuplicateAtRecord: a.Books.StoredTwice, InSpool: a.Books.Waiting,
			Quarantined: a.Books.Quarantined, Filtered: a.Books.Filtered, Discarded: a.Books.Discarded, Damaged: a.Books.Damaged,
		})
	}
	return accounts
}

// Nameless implements query.Ledger.
func (b Books) Nameless() map[penstock.Reason]uint64 {
	_, nameless := b.Totals()
	return nameless.Rejected
}
