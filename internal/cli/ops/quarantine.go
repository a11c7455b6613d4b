package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newQuarantine(env shell.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Show reports that were refused, and retry, export or discard them",
		Long: `Show reports that a sink or a rule refused. They are accepted and kept, with every
byte, until a person decides: retry one when the cause is mended, or discard it. A
retry is exactly once, too.`,
		Args: shell.CommandArgs,
		RunE: shell.ShowHelp,
	}
	cmd.AddCommand(newHeldList(env), newHeldShow(env), newHeldExport(env), newHeldDecide(env, "retry"), newHeldDecide(env, "discard"))
	return cmd
}

// usualSink is whose quarantine is meant when nobody says.
const usualSink = "historian"

// held is what all commands of the quarantine need.
type held struct {
	at   shell.Remote
	sink string
}

func (h *held) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.sink, "sink", usualSink, "`NAME` of the sink whose quarantine it is")
	h.at.Register(cmd.Flags())
}

// each calls f for every report in the quarantine.
func (h *held) each(ctx context.Context, client *apiclient.Client, detail bool, f func(apiclient.Held) error) error {
	next := uint64(0)
	for {
		page, err := client.Delivery().Quarantine(ctx, h.sink, next, detail)
		if err != nil {
			return err
		}
		for _, r := range page.Reports {
			if err := f(r); err != nil {
				return err
			}
		}
		if page.Next == nil {
			return nil
		}
		next = *page.Next
	}
}

func newHeldList(env shell.Env) *cobra.Command {
	var h held
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List reports in quarantine, and why they are there",
		Example: "  penstock quarantine list\n  penstock quarantine list --sink broker",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := h.at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			t := output.NewTable(env.Stdout, "NUMBER", "CONTROLLER", "IDENTITY", "SAMPLES", "BY", "TRIES", "FIRST", "LAST", "REASON")
			err = h.each(cmd.Context(), client, false, func(r apiclient.Held) error {
				return t.Row(r.Number, r.Controller, r.Identity, r.Samples, r.By, r.Tries, r.First, r.Last, r.Reason)
			})
			if err != nil {
				return err
			}
			return t.End()
		},
	}
	h.register(cmd)
	return cmd
}

func newHeldShow(env shell.Env) *cobra.Command {
	var h held
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show a report in quarantine, every byte of it",
		Long: `Show a report in quarantine as JSON: why it is there, its samples, and under raw the
same in the binary encoding, in Base64 (see 'penstock decode').`,
		Example: "  penstock quarantine show 17",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := parseNumber(args[0])
			if err != nil {
				return err
			}
			client, err := h.at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			r, err := client.Delivery().Held(cmd.Context(), h.sink, number)
			if err != nil {
				return err
			}
			return output.JSON(env.Stdout, r)
		},
	}
	h.register(cmd)
	return cmd
}

func newHeldExport(env shell.Env) *cobra.Command {
	var h held
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Print all reports in quarantine as NDJSON",
		Long:    "Print all reports in quarantine, one a line, as 'penstock quarantine show' shows them.",
		Example: "  penstock quarantine export > held.ndjson",
		Args:    shell.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := h.at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			lines := json.NewEncoder(env.Stdout)
			return h.each(cmd.Context(), client, true, func(r apiclient.Held) error { return lines.Encode(r) })
		},
	}
	h.register(cmd)
	return cmd
}

// newHeldDecide makes the commands retry and discard.
func newHeldDecide(env shell.Env, verb string) *cobra.Command {
	var h held
	var all bool
	cmd := &cobra.Command{
		Use:     verb + " NUMBER…",
		Example: fmt.Sprintf("  penstock quarantine %s 17\n  penstock quarantine %s --all --sink broker", verb, verb),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return shell.Usagef("name the numbers, or say --all")
			}
			numbers := make([]uint64, len(args))
			for i, arg := range args {
				var err error
				if numbers[i], err = parseNumber(arg); err != nil {
					return err
				}
			}
			client, err := h.at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			if all {
				err := h.each(cmd.Context(), client, false, func(r apiclient.Held) error {
					numbers = append(numbers, r.Number)
					return nil
				})
				if err != nil {
					return err
				}
			}
			return h.decide(cmd.Context(), env, client, verb, numbers)
		},
	}
	switch verb {
	case "retry":
		cmd.Short = "Deliver reports in quarantine now, if that goes"
		cmd.Long = `Deliver reports in quarantine now, if that goes. A record learns of it a moment
later; what it still cannot store stays, with the new reason.`
	default:
		cmd.Short = "Give reports in quarantine up"
		cmd.Long = "Give reports in quarantine up. They stay settled: a resend is a duplicate."
	}
	cmd.Flags().BoolVar(&all, "all", false, "all reports that are there now")
	h.register(cmd)
	return cmd
}

func (h *held) decide(ctx context.Context, env shell.Env, client *apiclient.Client, verb string, numbers []uint64) error {
	for _, number := range numbers {
		done, err := client.Delivery().Decide(ctx, h.sink, number, verb)
		if err != nil {
			return fmt.Errorf("report %d: %w", number, err)
		}
		word := "decided; the record learns of it in its turn"
		if done {
			word = "done"
		}
		fmt.Fprintf(env.Stderr, "%s %d: %s\n", verb, number, word)
	}
	return nil
}

func parseNumber(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, shell.Usagef("%q is not the number of a report: see 'penstock quarantine list'", text)
	}
	return n, nil
}
