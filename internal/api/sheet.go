package api

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/query"
	"github.com/penstock/penstock/internal/api/web"
)

// sheets answers for controllers and points as CSV.
type sheets struct{ sheets Sheets }

const (
	csvType  = "text/csv"
	maxSheet = 32 << 20 // bytes of a sheet that is imported
)

func (s *sheets) routes() []web.Route {
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/controllers/export", Access: web.Viewer, Serve: s.export,
		Summary: "Controllers and points as CSV",
		Details: "A row for each point, and one for each controller without points. A text that a spreadsheet would take for a formula has a quote before it. The import reads it back.",
		Params:  []web.Param{query.ControllerParam()},
		Answer:  []web.Media{{Name: csvType}},
	}, {
		Method: http.MethodPost, Path: "/v1/controllers/import", Access: web.Admin, Serve: s.importSheet,
		Summary: "Register controllers and declare points from CSV",
		Details: "The columns are those of the export, in any order; only controller is needed. All rows are imported or, when there is a problem with one, none. What the sheet does not name stays as it is.",
		Params:  []web.Param{{In: "query", Name: "dry_run", Doc: "1: tell what is wrong and what would change, and change nothing.", Example: "1"}},
		Body:    []web.Media{{Name: csvType}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[SheetImported]()}},
	}, {
		Method: http.MethodGet, Path: "/v1/credentials/export", Access: web.Admin, Serve: s.exportCredentials,
		Summary: "All credentials, for another node",
		Details: "For admins whose scope is everything. Tokens cannot be found out from it; the keys of controllers stand in it, so it is as secret as they are.",
		Answer:  []web.Media{{Name: web.JSONType}},
	}, {
		Method: http.MethodPost, Path: "/v1/credentials/import", Access: web.Admin, Serve: s.importCredentials,
		Summary: "Take over the credentials of another node",
		Details: "For admins whose scope is everything. What is not known is added, and what is revoked there is revoked here. It can be done again at any time.",
		Body:    []web.Media{{Name: web.JSONType}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[CredentialsImported]()}},
	}}
}

// CredentialsImported tells what an import of credentials changed.
type CredentialsImported struct {
	Added     int `json:"added"`
	Revoked   int `json:"revoked" doc:"Were valid here and are not any more."`
	Unchanged int `json:"unchanged"`
}

// exportCredentials answers GET /v1/credentials/export.
func (s *sheets) exportCredentials(c *web.Call) error {
	if err := c.Covers("*"); err != nil {
		return err
	}
	text, err := s.sheets.ExportCredentials()
	if err != nil {
		return err
	}
	c.Log().Info("the credentials were exported", "by", c.Who.Credential, "peer", c.R.RemoteAddr)
	c.Header().Set("Content-Type", web.JSONType)
	_, err = c.Write(text)
	return err
}

// importCredentials answers POST /v1/credentials/import.
func (s *sheets) importCredentials(c *web.Call) error {
	if err := c.Covers("*"); err != nil {
		return err
	}
	b, err := c.ReadBody(web.JSONType, maxSheet)
	defer b.Free()
	if err != nil {
		return err
	}
	done, err := s.sheets.ImportCredentials(b.Bytes)
	if err != nil {
		return err
	}
	c.Log().Info("credentials were imported", "added", done.Added, "revoked", done.Revoked, "by", c.Who.Credential, "peer", c.R.RemoteAddr)
	return c.JSON(http.StatusOK, done)
}

// SheetImported tells what an import changed, or with dry_run would change.
type SheetImported struct {
	DryRun      bool `json:"dry_run"`
	Rows        int  `json:"rows"`
	Controllers int  `json:"controllers" doc:"Became registered."`
	Points      int  `json:"points" doc:"Are declared now, or otherwise than before."`
	Places      int  `json:"places,omitempty" doc:"Controllers whose site or line is another than was known."`
}

// export answers GET /v1/controllers/export.
func (s *sheets) export(c *web.Call) error {
	pattern := c.Value("controller")
	c.Header().Set("Content-Type", csvType+"; charset=utf-8; header=present")
	c.Header().Set("Content-Disposition", `attachment; filename="controllers.csv"`)
	b := c.NewBody()
	defer b.Free()
	for part := range s.sheets.Export(func(controller string) bool { return c.Sees(pattern, controller) }) {
		b.Bytes = append(b.Bytes, part...)
		if err := c.Send(b); err != nil {
			return err
		}
	}
	return nil
}

// importSheet answers POST /v1/controllers/import.
func (s *sheets) importSheet(c *web.Call) error {
	dry := c.Value("dry_run") == "1"
	b, err := c.ReadBody(csvType, maxSheet)
	defer b.Free()
	if err != nil {
		return err
	}
	r, err := s.sheets.Import(b.Bytes, c.Covers, dry)
	if err != nil {
		return err
	}
	if len(r.Problems) > 0 {
		return sheetProblem(r)
	}
	if !dry {
		c.Log().Info("a sheet was imported", "rows", r.Rows, "controllers", r.Controllers, "points", r.Points, "by", c.Who.Credential, "peer", c.R.RemoteAddr)
	}
	return c.JSON(http.StatusOK, SheetImported{DryRun: dry, Rows: r.Rows, Controllers: r.Controllers, Points: r.Points, Places: r.Places})
}

func sheetProblem(r SheetResult) error {
	first := r.Problems[0]
	where := fmt.Sprint("line ", first.Line)
	if first.Column != "" {
		where += ", " + first.Column
	}
	p := problem.New(problem.Invalid, fmt.Sprintf("Nothing was imported. Problems: %d. The first, %s: %s", len(r.Problems)+r.More, where, first.Detail))
	p.Rows = r.Problems
	return p
}
