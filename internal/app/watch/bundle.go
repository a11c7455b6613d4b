package watch

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock/penstock/internal/support"
)

// Bundle writes what a person who helps from afar needs to know, without secrets.
func (w *Watcher) Bundle(to io.Writer) error {
	return support.Write(to, support.Parts{
		Version: w.Version, Now: w.Now, Config: w.Config, Metrics: w.scrape, Log: w.Logs.Recent,
		Facts: map[string]func() any{
			"health": func() any { return w.Health.Snapshot() },
			"flow":   func() any { return w.Flow(bundledControllers, func(string) bool { return true }) },
			"log":    func() any { return w.Log().Outputs() },
			"spool": func() any {
				s := w.Spool.State()
				return map[string]any{"health": s.Health.String(), "first": s.First, "durable": s.Durable, "used": s.Used, "quota": s.Quota, "segments": s.Segments}
			},
		},
		Secrets: func(yield func([]byte)) {
			if token, err := os.ReadFile(filepath.Join(w.Dir, "admin.token")); err == nil {
				yield([]byte(strings.TrimSpace(string(token))))
			}
		},
	})
}

// bundledControllers is how many controllers with trouble a bundle tells of.
const bundledControllers = 100

// scrape writes the metrics as a scrape gets them.
func (w *Watcher) scrape(to io.Writer) error {
	r, err := http.NewRequest(http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	answer := &answer{to: to, header: http.Header{}, status: http.StatusOK}
	w.Metrics.Handler(w.log).ServeHTTP(answer, r)
	if answer.status != http.StatusOK {
		return errors.New("the metrics could not be read: " + http.StatusText(answer.status))
	}
	return nil
}

// answer is an http.ResponseWriter into a writer.
type answer struct {
	to     io.Writer
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.to.Write(b) }
