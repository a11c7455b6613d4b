package care

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/backup"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

func newRestore(env shell.Env) *cobra.Command {
	var unlock unlocking
	var keys string
	var accept bool
	cmd := &cobra.Command{
		Use:   "restore BACKUP DIR",
		Short: "Put a backup back as a data directory",
		Long: `Put a backup back as the data directory DIR, which must be empty or not there: no
gateway may run on it. BACKUP is a backup, a directory of backups, of which the
newest is taken, or an archive. Everything is verified on the way. A restore that was
cut off is begun anew by the same command; until it is done no gateway starts on DIR.

WHAT CAME AFTER THE BACKUP IS NOT IN IT. Where the system of record is the embedded
historian, reports that were confirmed as committed after the backup are gone unless
their controllers still have them: 'penstock gaps' names them on the restored
gateway. Where it stands elsewhere, it has them, and nothing is stored twice.

Never run a restored gateway beside the one that the backup was made of.`,
		Example: "  penstock restore /mnt/backup/north /var/lib/penstock --key /media/safe/north.key",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			from, err := locate(args[0])
			if err != nil {
				return err
			}
			to, err := filepath.Abs(args[1])
			if err != nil {
				return err
			}
			v, err := backup.Restore(backup.Restoration{
				FS: backup.Disk(), From: from, To: to, Keys: keys, Now: env.Now, Key: unlock.find, AcceptDamage: accept,
			})
			if err != nil {
				if len(v.Damage) > 0 {
					err = errors.Join(err, tellDamage(env, v.Damage))
				}
				return damagedArchive(err)
			}
			return tellRestored(env, to, v)
		},
	}
	unlock.register(cmd.Flags())
	cmd.Flags().StringVar(&keys, "keys", "", "put the key-encryption key into `DIR`, as the key keys of the configuration says (default: the data directory)")
	cmd.Flags().BoolVar(&accept, "accept-damage", false, "restore what there is of a damaged backup")
	return cmd
}

func tellDamage(env shell.Env, damage []backup.Damage) error {
	for _, d := range damage {
		if _, err := fmt.Fprintf(env.Stderr, "%s: %s\n", output.Clean(d.Path), output.Clean(d.What)); err != nil {
			return err
		}
	}
	return nil
}

func tellRestored(env shell.Env, to string, v backup.Verified) error {
	if err := tellDamage(env, v.Damage); err != nil {
		return err
	}
	m := v.Manifest
	for _, note := range v.Notes {
		fmt.Fprintf(env.Stderr, "note: %s\n", output.Clean(note))
	}
	if m.Config != "" {
		fmt.Fprintf(env.Stderr, "Its configuration was %s; what it said is in %s.\n", output.Clean(m.Config), filepath.Join(to, backup.ConfigDir))
	}
	for _, path := range m.Elsewhere {
		fmt.Fprintf(env.Stderr, "Its configuration names a file that the backup does not hold: %s\n", output.Clean(path))
	}
	if os.Geteuid() == 0 {
		fmt.Fprintf(env.Stderr, "The files belong to root: give them to the gateway's account, as in 'chown -R penstock: %s'.\n", to)
	}
	if m.Record == "historian" {
		fmt.Fprintf(env.Stderr, "WHAT WAS COMMITTED AFTER %s IS GONE unless controllers still have it: 'penstock gaps' names what is missing.\n", m.Time.Format("2006-01-02T15:04:05Z"))
	}
	_, err := fmt.Fprintf(env.Stdout, "%s holds the node %s as of %s, through position %d\n", to, m.Node, m.Time.Format("2006-01-02T15:04:05Z"), m.Position)
	if err == nil && len(v.Damage) > 0 {
		err = shell.Exit(shell.ExitDamaged, penstock.Errorf(penstock.Corrupt, "the backup was damaged, and it was restored as it is, as asked"))
	}
	return err
}
