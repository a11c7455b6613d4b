package admin

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/apiclient"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newLedger(env shell.Env) *cobra.Command {
	var at shell.Remote
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ledger [CONTROLLER]",
		Short: "Show the books, and whether they balance",
		Long: `Show the books in reports, for each controller and in total:

  received = accepted + duplicate + rejected
  accepted = committed + duplicate at the record + in spool + quarantined
             + filtered + discarded + damaged

The exit code is 6 when an account does not add up. '*' stands for any run of
characters.`,
		Example: "  penstock ledger\n  penstock ledger 'pump-*'\n  penstock ledger --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := at.Client(env)
			if err != nil {
				return err
			}
			defer client.Close()
			books, err := client.Ledger(cmd.Context(), shell.First(args...))
			if err != nil {
				return err
			}
			if asJSON {
				err = output.JSON(env.Stdout, books)
			} else {
				err = printBooks(env.Stdout, books)
			}
			return errors.Join(err, balance(books))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	at.Register(cmd.Flags())
	return cmd
}

// printBooks prints the accounts so that both sums can be checked by eye: from
// left to right a number is the sum of those that follow it up to the next bar.
func printBooks(w io.Writer, b apiclient.Books) error {
	t := output.NewTable(w, "CONTROLLER", "RECEIVED", "= ACCEPTED", "+ DUPLICATE", "+ REJECTED",
		"|  ACCEPTED", "= COMMITTED", "+ AT RECORD", "+ IN SPOOL", "+ OTHER", "|")
	for _, a := range append(slices.Clone(b.Controllers), b.Total) {
		plus := func(n uint64) string { return fmt.Sprint("+ ", n) }
		err := t.Row(shell.First(a.Controller, "total"), a.Received, fmt.Sprint("= ", a.Accepted), plus(a.Duplicate), plus(sum(a.Rejected)),
			fmt.Sprint("|  ", a.Accepted), fmt.Sprint("= ", a.Committed), plus(a.DuplicateAtRecord), plus(a.InSpool),
			plus(a.Quarantined+a.Filtered+a.Discarded+a.Damaged), "| "+verdict(a))
		if err != nil {
			return err
		}
	}
	if err := t.End(); err != nil {
		return err
	}
	var notes strings.Builder
	note(&notes, "rejected", b.Total.Rejected)
	note(&notes, "other", map[string]uint64{
		"quarantined": b.Total.Quarantined, "filtered": b.Total.Filtered, "discarded": b.Total.Discarded, "damaged": b.Total.Damaged,
	})
	note(&notes, "refused before it named a controller", b.Nameless)
	if notes.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(w, "\n"+notes.String())
	return err
}

// note adds a line of the parts that are not zero.
func note(b *strings.Builder, title string, parts map[string]uint64) {
	var shown []string
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if parts[name] > 0 {
			shown = append(shown, fmt.Sprintf("%s %d", output.Clean(name), parts[name]))
		}
	}
	if len(shown) > 0 {
		fmt.Fprintf(b, "%s: %s\n", title, strings.Join(shown, ", "))
	}
}

func sum(parts map[string]uint64) uint64 {
	total := uint64(0)
	for _, n := range parts {
		total += n
	}
	return total
}

func balanced(a apiclient.Account) bool {
	settled := a.Committed + a.DuplicateAtRecord + a.InSpool + a.Quarantined + a.Filtered + a.Discarded + a.Damaged
	return a.Received == a.Accepted+a.Duplicate+sum(a.Rejected) && a.Accepted == settled
}

func verdict(a apiclient.Account) string {
	if balanced(a) {
		return "balances"
	}
	return "DOES NOT BALANCE"
}

// balance returns an error that names the first account that does not add up.
func balance(b apiclient.Books) error {
	for _, a := range append(slices.Clone(b.Controllers), b.Total) {
		if !balanced(a) {
			return shell.Exit(shell.ExitDamaged, fmt.Errorf("the account of %s does not add up: this is a fault of the gateway; keep its data directory and report it", shell.First(output.Clean(a.Controller), "all controllers")))
		}
	}
	return nil
}
