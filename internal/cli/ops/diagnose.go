package ops

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newDiagnose(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON bool
	var filter apiclient.DiagnoseFilter
	cmd := &cobra.Command{
		Use:   "diagnose [CONTROLLER]",
		Short: "Say where a fault is: cable, controller, network, gateway or store",
		Long: `Say who reports and what is wrong: the causes, the largest first, each with its
evidence, what to look at, and whom to send. A cause takes one controller, or all
that share a line, a site, a source or the gateway.

With a CONTROLLER, say all that is known of it: the verdict with the evidence for
and against, when its last report passed each stage, its clock and its signal.
Where the evidence does not tell two causes apart, it says between which.`,
		Example: "  penstock diagnose\n  penstock diagnose pump-17\n  penstock diagnose --site north --since 1h\n  penstock diagnose --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && (filter.Site != "" || filter.Since != "") && !strings.Contains(args[0], "*") {
				return shell.Usagef("--site and --since choose among many: leave them out for %s", args[0])
			}
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			if filter.Controller = shell.First(args...); filter.Controller != "" && !strings.Contains(filter.Controller, "*") {
				d, err := client.Diagnosis(cmd.Context(), filter.Controller)
				if err != nil {
					return err
				}
				return show(env, asJSON, d, func(w io.Writer) { printDetail(w, &d) })
			}
			o, err := client.Overview(cmd.Context(), filter)
			if err != nil {
				return err
			}
			return show(env, asJSON, o, func(w io.Writer) { printOverview(w, &o) })
		},
	}
	cmd.Flags().StringVar(&filter.Site, "site", "", "only controllers of that `SITE`")
	cmd.Flags().StringVar(&filter.Since, "since", "", "only what began since `TIME`: a duration such as 1h, or a time")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

// show prints a value as JSON, or for people.
func show(env shell.Env, asJSON bool, v any, people func(io.Writer)) error {
	if asJSON {
		return output.JSON(env.Stdout, v)
	}
	var b strings.Builder
	people(&b)
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

func printOverview(w io.Writer, o *apiclient.Overview) {
	fmt.Fprintf(w, "%d of %d reporting · %d late · %d silent", o.Reporting, o.Controllers, o.Late, o.Silent)
	if o.New > 0 {
		fmt.Fprintf(w, " · %d new", o.New)
	}
	if o.Held > 0 {
		fmt.Fprintf(w, " · %d held", o.Held)
	}
	fmt.Fprintf(w, " · %s\n", output.Count(len(o.Causes), "cause"))
	for i := range o.Causes {
		c := &o.Causes[i]
		fmt.Fprintf(w, "\n%d. %s: %s", i+1, headline(&c.Verdict), output.Count(c.Count, "controller"))
		if c.Scope != "controller" || c.Count > 1 {
			fmt.Fprintf(w, " (%s)", names(c))
		}
		fmt.Fprintln(w)
		printEvidence(w, &c.Verdict)
		if c.Gap == 0 {
			fmt.Fprintln(w, "   lost:    nothing, as far as numbers tell")
		} else {
			fmt.Fprintf(w, "   missing: %s, until they are sent again\n", output.Count(int(c.Gap), "report"))
		}
	}
}

// names lists some of the controllers.
func names(c *apiclient.Cause) string {
	const shown = 4
	list := make([]string, 0, shown)
	for _, n := range c.Controllers[:min(shown, len(c.Controllers))] {
		list = append(list, output.Clean(n))
	}
	if c.Count > shown {
		list = append(list, "…")
	}
	return strings.Join(list, ", ")
}

// headline is a verdict in a few words.
func headline(v *apiclient.Verdict) string {
	what := map[string]string{
		"physical": "Physical transport", "controller": "Controller", "network": "Network", "gateway": "Gateway software", "store": "Store",
		"configuration": "Configuration", "ok": "Nothing is wrong",
	}[v.Verdict]
	if v.Verdict == "unclear" && len(v.Between) == 2 {
		what = fmt.Sprintf("Cannot tell between %s and %s", v.Between[0], v.Between[1])
	}
	if v.Scope != "" {
		what += ", " + v.Scope
	}
	if v.Name != "" {
		what += " " + output.Clean(v.Name)
	}
	if v.Verdict != "ok" {
		what += fmt.Sprintf(" (%.0f %%)", 100*v.Confidence)
	}
	return what
}

func printEvidence(w io.Writer, v *apiclient.Verdict) {
	list := func(head string, lines []string) {
		for _, l := range lines {
			fmt.Fprintf(w, "   %-8s %s\n", head, output.Clean(l))
			head = ""
		}
	}
	list("for:", v.For)
	list("against:", v.Against)
	list("unknown:", v.Missing)
	for _, l := range [][2]string{{"second:", v.Second}, {"since:", v.Since}, {"check:", v.Next}, {"send:", v.Send}} {
		if l[1] != "" {
			list(l[0], []string{l[1]})
		}
	}
}

func printDetail(w io.Writer, d *apiclient.Diagnosis) {
	fmt.Fprintf(w, "%s is %s", output.Clean(d.Controller), d.Pulse)
	for _, part := range [][2]string{{"site", d.Site}, {"line", d.Line}, {"source", d.Source}, {"link", d.LinkType}} {
		if part[1] != "" {
			fmt.Fprintf(w, " · %s %s", part[0], output.Clean(part[1]))
		}
	}
	fmt.Fprintf(w, "\n%s\n", headline(&d.Verdict))
	printEvidence(w, &d.Verdict)
	fmt.Fprintf(w, "\nlast seen  %s\n", shell.Never(d.LastSeen))
	if d.Usual > 0 {
		fmt.Fprintf(w, "rhythm     a report every %s\n", seconds(d.Usual))
	}
	if c := d.Clock; c != nil {
		fmt.Fprintf(w, "clock      its fastest report took %s by its own clock, the last ones %s more", seconds(c.Age), seconds(c.Delay))
		if c.Offset != 0 {
			fmt.Fprintf(w, "; the clock stepped by %s", seconds(c.Offset))
		}
		fmt.Fprintln(w)
	}
	printHops(w, d.Hops)
	fmt.Fprintf(w, "came       %s\nbefore     %s\n", counts(&d.Now), counts(&d.Before))
	for _, s := range d.Signals {
		fmt.Fprintf(w, "signal     %s %.1f %s", s.Quantity, s.Value, s.Unit)
		if s.Usual != nil {
			fmt.Fprintf(w, ", usually %.1f", *s.Usual)
		}
		fmt.Fprintf(w, ", needs %.1f\n", s.Limit)
	}
	fmt.Fprintf(w, "missing    %s\n", output.Count(int(d.Gap), "sequence number"))
}

// printHops says how long the last report took from stage to stage.
func printHops(w io.Writer, h *apiclient.Hops) {
	if h == nil {
		return
	}
	fmt.Fprintf(w, "stages     report %s: source ", output.Clean(h.Identity))
	last := time.Time{}
	for _, stage := range [][2]string{{"", h.Source}, {"received", h.Received}, {"accepted", h.Accepted}, {"stored", h.Stored}} {
		at, err := time.Parse(time.RFC3339Nano, stage[1])
		switch {
		case err != nil && stage[0] == "":
			fmt.Fprint(w, "(no time)")
		case stage[0] == "":
			fmt.Fprint(w, at.Format("15:04:05.000"))
		case last.IsZero():
			fmt.Fprintf(w, " → %s %s", stage[0], at.Format("15:04:05.000"))
		default:
			fmt.Fprintf(w, " → %s %+.3fs", stage[0], at.Sub(last).Seconds())
		}
		if err == nil {
			last = at
		}
	}
	fmt.Fprintln(w)
}

func counts(c *apiclient.LinkCounts) string {
	if c.Seconds == 0 {
		return "nothing"
	}
	var parts []string
	for _, p := range []struct {
		n    uint32
		what string
	}{
		{c.Fresh, "reports"}, {c.Again, "again"}, {c.Skipped, "out of turn"}, {c.Refused, "refused"}, {c.Frames, "frames"}, {c.Damaged, "damaged"},
		{c.LineErrors, "line errors"}, {c.Timeouts, "timeouts"}, {c.Exceptions, "exceptions"}, {c.Malformed, "malformed"}, {c.Restarts, "restarts"},
		{c.SessionsLost, "sessions lost"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing"}
	}
	return fmt.Sprintf("%s in %s", strings.Join(parts, ", "), seconds(c.Seconds))
}

func seconds(s float64) string {
	return (time.Duration(s*1000) * time.Millisecond).String()
}
