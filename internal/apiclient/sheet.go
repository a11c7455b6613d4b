package apiclient

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// Imported tells what an import changed, or would change.
type Imported struct {
	DryRun      bool `json:"dry_run"`
	Rows        int  `json:"rows"`
	Controllers int  `json:"controllers"` // became registered
	Points      int  `json:"points"`      // are declared now, or otherwise than before
	Places      int  `json:"places"`      // controllers whose site or line is another than was known
}

// Export writes the controllers and their points as CSV to w; controller narrows
// it to the names that match, and is empty for all.
func (c *Client) Export(ctx context.Context, controller string, w io.Writer) error {
	return c.download(ctx, request{method: http.MethodGet, path: "/v1/controllers/export", query: filter(controller), accept: "text/csv"}, w)
}

// Adopted tells what an import of credentials changed.
type Adopted struct {
	Added     int `json:"added"`
	Revoked   int `json:"revoked"`
	Unchanged int `json:"unchanged"`
}

// ExportCredentials writes all credentials, for other nodes, to w.
func (c *Client) ExportCredentials(ctx context.Context, w io.Writer) error {
	return c.download(ctx, request{method: http.MethodGet, path: "/v1/credentials/export", accept: "application/json"}, w)
}

// ImportCredentials has the gateway take over what another one exported.
func (c *Client) ImportCredentials(ctx context.Context, text []byte) (Adopted, error) {
	var done Adopted
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/credentials/import", contentType: "application/json", body: text}, nil, &done)
	return done, err
}

// download copies an answer to w.
func (c *Client) download(ctx context.Context, r request, w io.Writer) error {
	res, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer drain(res.Body)
	from := &watched{r: res.Body}
	if _, err := io.Copy(w, from); err != nil {
		if from.err == nil || ctx.Err() != nil {
			return err
		}
		return c.broken(err)
	}
	return nil
}

// watched is a reader that remembers its failure, to tell it from that of the
// writer.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// Import sends a sheet; a dry run changes nothing. A refusal is a [*Problem] with
// the rows that are wrong.
func (c *Client) Import(ctx context.Context, csv []byte, dry bool) (Imported, error) {
	r := request{method: http.MethodPost, path: "/v1/controllers/import", contentType: "text/csv", body: csv}
	if dry {
		r.query = url.Values{"dry_run": {"1"}}
	}
	var done Imported
	err := c.call(ctx, r, nil, &done)
	return done, err
}
