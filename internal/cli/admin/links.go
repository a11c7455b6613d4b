package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newLinks(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON, bad bool
	var filter apiclient.LinkFilter
	cmd := &cobra.Command{
		Use:   "links [CONTROLLER]",
		Short: "Show sources, ports and links: what fails, errors, signal, bad frames",
		Long: `Show how the sources of the gateway are, and what happened on its ports and on
the links of its controllers since it started: frames that were whole, checksum
and framing errors, timeouts, sessions made and lost, the signal where a link
tells it. A source that fails is tried again for ever; WHY says what is wrong.

BOOKS says what the ledger knows of a controller's reports, for ever: duplicates,
and sequence numbers that are missing now.

An error of the checksum stands on the port: the damaged bytes may be those that
say who sent them. '*' stands for any run of characters.`,
		Example: "  penstock links\n  penstock links pump-17 --bad\n  penstock links --port 'line-*' --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			filter.Controller, filter.Detail = shell.First(args...), bad
			links, err := client.Links(cmd.Context(), filter)
			if err != nil {
				return err
			}
			if asJSON {
				return output.JSON(env.Stdout, links)
			}
			if bad {
				return printBadFrames(env, links)
			}
			return printLinks(env, links)
		},
	}
	cmd.Flags().StringVar(&filter.Port, "port", "", "only ports and sources of that `NAME`")
	cmd.Flags().BoolVar(&bad, "bad", false, "print the last bad frames of each in hexadecimal")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

func printLinks(env shell.Env, l apiclient.Links) error {
	if len(l.Sources) > 0 {
		t := output.NewTable(env.Stdout, "SOURCE", "STATE", "SINCE", "LISTENS", "WHY")
		for _, s := range l.Sources {
			if err := t.Row(s.Name, s.State, s.Since, strings.Join(s.Addresses, ", "), s.Why); err != nil {
				return err
			}
		}
		if err := t.End(); err != nil {
			return err
		}
		fmt.Fprintln(env.Stdout)
	}
	t := output.NewTable(env.Stdout, "KIND", "NAME", "HEARD", "PEER", "SIGNAL", "COUNTS", "BOOKS")
	for _, part := range kindsOfLinks(l) {
		for _, k := range part.links {
			if err := t.Row(part.kind, k.Name, shell.Never(k.Heard), k.Peer, signals(k.Signals), counts(k.Counts), booked(k.Books)); err != nil {
				return err
			}
		}
	}
	return t.End()
}

func printBadFrames(env shell.Env, l apiclient.Links) error {
	t := output.NewTable(env.Stdout, "KIND", "NAME", "TIME", "EVENT", "SIZE", "WHY", "BYTES")
	for _, part := range kindsOfLinks(l) {
		for _, k := range part.links {
			for _, f := range k.BadFrames {
				if err := t.Row(part.kind, k.Name, f.Time, f.Event, f.Size, f.Why, f.Bytes); err != nil {
					return err
				}
			}
		}
	}
	return t.End()
}

type kindOfLinks struct {
	kind  string
	links []apiclient.Link
}

func kindsOfLinks(l apiclient.Links) []kindOfLinks {
	return []kindOfLinks{{"port", l.Ports}, {"controller", l.Controllers}}
}

func signals(all map[string]apiclient.Signal) string {
	var shown []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		shown = append(shown, fmt.Sprintf("%s %.4g %s", name, all[name].Value, all[name].Unit))
	}
	return strings.Join(shown, ", ")
}

func counts(all map[string]uint64) string {
	var shown []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		shown = append(shown, fmt.Sprintf("%s %d", name, all[name]))
	}
	return strings.Join(shown, ", ")
}

// booked shows what the ledger knows, leaving out what is zero.
func booked(b *apiclient.LinkBooks) string {
	known := map[string]uint64{}
	if b != nil && b.Duplicate > 0 {
		known["duplicate"] = b.Duplicate
	}
	if b != nil && b.Gap > 0 {
		known["gap"] = b.Gap
	}
	return counts(known)
}
