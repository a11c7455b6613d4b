package metrics

import (
	"fmt"
	"strings"
)

// Document returns docs/metrics.md.
func Document() string {
	var b strings.Builder
	b.WriteString("<!-- Generated from internal/metrics: go test ./internal/metrics -update -->\n\n# Metrics\n\n")
	b.WriteString("At `/metrics` on the health port (127.0.0.1:3000), in the Prometheus and OpenMetrics text formats.\n")
	b.WriteString("No metric has a controller, a point or a credential for a label; what concerns one controller is in the API.\n")
	fmt.Fprintf(&b, "A label has at most %d values in a metric; what comes beyond is counted as `%s`.\n", maxSeries, other)
	b.WriteString("The metrics of the Go runtime (`go_…`) and of the process (`process_…`) stand beside these.\n")
	for _, a := range areas {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n", a.title)
		for _, d := range a.definitions {
			labels := make([]string, len(d.Labels))
			for i, l := range d.Labels {
				labels[i] = fmt.Sprintf("`%s`: %s", l.Name, l.Help)
			}
			if len(labels) == 0 {
				labels = []string{"–"}
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", d.Name, d.Kind, d.Unit, strings.Join(labels, "; "), d.Help)
		}
	}
	return b.String()
}
