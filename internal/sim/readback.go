package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-faster/jx"

	"github.com/penstock/penstock"
)

// A Reader reads a gateway's store back through its API.
type Reader struct {
	endpoint Endpoint
	client   *http.Client
}

var _ Store = (*Reader)(nil)

// NewReader returns a reader of the gateway at an endpoint.
func NewReader(e Endpoint) *Reader { return &Reader{endpoint: e, client: NewClient(e.Roots, 4)} }

// Close ends the connections. It is legal twice.
func (r *Reader) Close() { r.client.CloseIdleConnections() }

// maxDocument bounds an answer that is read whole.
const maxDocument = 64 << 20

// Get reads a JSON document of the API into v.
func (r *Reader) Get(ctx context.Context, path string, v any) error {
	body, err := r.open(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close() // only read from
	if err := json.NewDecoder(io.LimitReader(body, maxDocument)).Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (r *Reader) open(ctx context.Context, path string) (io.ReadCloser, error) {
	request, err := r.endpoint.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close() // only read from
		raw, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		return nil, fmt.Errorf("%s: %w", path, refusal(response, raw))
	}
	return response.Body, nil
}

// Controllers implements [Store].
func (r *Reader) Controllers(ctx context.Context) ([]string, error) {
	var list struct {
		Controllers []struct {
			Name string `json:"name"`
		} `json:"controllers"`
	}
	if err := r.Get(ctx, "/v1/controllers", &list); err != nil {
		return nil, err
	}
	names := make([]string, len(list.Controllers))
	for i, c := range list.Controllers {
		names[i] = c.Name
	}
	return names, nil
}

// Samples implements [Store]. It follows an answer that was cut to its end.
func (r *Reader) Samples(ctx context.Context, controller string, from int64, yield func(Stored) error) error {
	query := url.Values{"controller": {controller}, "from": {strconv.FormatInt(from, 10)}, "time": {"ns"}}
	for {
		next, err := r.page(ctx, query, controller, yield)
		if err != nil || next == "" {
			return err
		}
		query.Set("next", next)
	}
}

// page reads one answer of a query and returns where the next one starts.
func (r *Reader) page(ctx context.Context, query url.Values, controller string, yield func(Stored) error) (string, error) {
	body, err := r.open(ctx, "/v1/query?"+query.Encode())
	if err != nil {
		return "", err
	}
	defer body.Close() // only read from
	d := jx.Decode(body, 64<<10)
	var next string
	err = d.Obj(func(d *jx.Decoder, key string) error {
		switch key {
		case "series":
			return d.Arr(func(d *jx.Decoder) error { return readSeries(d, controller, yield) })
		case "next":
			next, err = d.Str()
			return err
		}
		return d.Skip()
	})
	return next, err
}

// readSeries reads one series. Its names come before its samples.
func readSeries(d *jx.Decoder, controller string, yield func(Stored) error) error {
	var s Stored
	return d.Obj(func(d *jx.Decoder, key string) error {
		var err error
		switch key {
		case "controller":
			var name string
			if name, err = d.Str(); err == nil && name != controller {
				err = penstock.Errorf(penstock.Internal, "asked for %s, the gateway gave %s", controller, name)
			}
		case "point":
			s.Point, err = d.Str()
		case "unit":
			s.Unit, err = d.Str()
		case "samples":
			err = d.Arr(func(d *jx.Decoder) error {
				if err := readSample(d, &s); err != nil {
					return err
				}
				return yield(s)
			})
		default:
			err = d.Skip()
		}
		return err
	})
}

// readSample reads [time, value, status].
func readSample(d *jx.Decoder, s *Stored) error {
	field := 0
	err := d.Arr(func(d *jx.Decoder) error {
		var err error
		switch field {
		case 0:
			s.Time, err = d.Int64()
		case 1:
			s.Raw, err = d.RawAppend(s.Raw[:0])
		case 2:
			var status uint32
			status, err = d.UInt32()
			s.Status = penstock.Status(status)
		}
		field++
		return err
	})
	if err == nil && field != 3 {
		err = penstock.Errorf(penstock.Internal, "a sample has %d fields, not time, value and status", field)
	}
	return err
}
