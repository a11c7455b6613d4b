package care

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/backup"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/keyring"
	"github.com/penstock/penstock/internal/localsocket"
)

// making is one backup to be made.
type making struct {
	env        shell.Env
	data       string
	keyCopy    string
	passphrase string // file
	keep       int
	asJSON     bool
}

func newBackup(env shell.Env) *cobra.Command {
	m := making{env: env}
	cmd := &cobra.Command{
		Use:   "backup DIR|FILE.tar",
		Short: "Make a backup of a gateway that runs",
		Long: `Make a backup of a gateway that runs on this machine: its log, its store with the
historian and the fleet, its keyring, its configuration and certificates, all of
one moment. The gateway goes on meanwhile.

In a directory every backup has a directory of its own. Files that did not change
since the one before are read and compared, but neither sent nor stored again. A
tar archive always holds everything.

THE KEY-ENCRYPTION KEY IS NOT IN A BACKUP, AND WITHOUT IT NOBODY CAN EVER READ ONE.
--key-copy writes it to a file, which belongs to another place; --passphrase-file
puts it into the backup, wrapped with a passphrase.

It goes over the socket run/admin.sock in the data directory, which only the
gateway's own account and root can open.`,
		Example: `  penstock backup /mnt/backup/north --key-copy /media/safe/north.key
  penstock backup /mnt/backup/north --keep 30
  penstock backup north.tar --passphrase-file passphrase.txt`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&m.data, "data", "", "data `DIR` of the gateway (default: "+shell.DefaultData+"; $"+shell.EnvData+")")
	cmd.Flags().StringVar(&m.keyCopy, "key-copy", "", "write the key-encryption key to `FILE` outside of the backup")
	cmd.Flags().StringVar(&m.passphrase, "passphrase-file", "", "put the key into the backup, wrapped with the passphrase in `FILE`")
	cmd.Flags().IntVar(&m.keep, "keep", 0, "afterwards remove all but the newest `N` backups of the directory; 0 removes none")
	cmd.Flags().BoolVar(&m.asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m.data = shell.First(m.data, env.Getenv(shell.EnvData), shell.DefaultData)
		return m.run(cmd.Context(), args[0])
	}
	cmd.AddCommand(newBackupVerify(env))
	return cmd
}

func (m *making) run(ctx context.Context, to string) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	extras, err := m.extras(to)
	if err != nil {
		return err
	}
	archive := strings.HasSuffix(to, ".tar")
	if m.keep < 0 || archive && m.keep > 0 {
		return shell.Usagef("--keep needs a directory of backups, and a number from 0")
	}
	var got backup.Received
	if archive {
		got, err = m.ask(ctx, nil, func(answer io.Reader) (backup.Received, error) {
			return backup.ReceiveArchive(backup.Disk(), to, answer, extras)
		})
	} else {
		got, err = m.toFolder(ctx, backup.OpenFolder(backup.Disk(), to), extras)
	}
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	if err := m.tell(to, got); err != nil || m.keep == 0 {
		return err
	}
	gone, err := backup.OpenFolder(backup.Disk(), to).Keep(m.keep)
	if len(gone) > 0 {
		fmt.Fprintf(m.env.Stderr, "Removed as asked: %s\n", strings.Join(gone, ", "))
	}
	return err
}

// toFolder makes a backup that takes over what did not change since the one before.
func (m *making) toFolder(ctx context.Context, folder backup.Folder, extras backup.Extras) (backup.Received, error) {
	base, damaged, err := folder.Base()
	if err != nil {
		return backup.Received{}, err
	}
	for _, d := range damaged {
		fmt.Fprintf(m.env.Stderr, "penstock: warning: the backup before is damaged, what it lacks is fetched anew: %s: %s\n", d.Path, d.What)
	}
	return m.ask(ctx, base.Have(), func(answer io.Reader) (backup.Received, error) { return folder.Receive(answer, base, extras) })
}

// ask has the gateway make a backup.
func (m *making) ask(ctx context.Context, have []backup.File, receive func(answer io.Reader) (backup.Received, error)) (got backup.Received, err error) {
	order, err := json.Marshal(backup.Order{Have: have, Key: m.keyCopy != "" || m.passphrase != ""})
	if err != nil {
		return got, err
	}
	err = localsocket.Post(ctx, m.data, "/backup", order, func(answer io.Reader) (err error) {
		got, err = receive(answer)
		return err
	})
	return got, err
}

// extras returns what is done with the key, once it is there: before the backup gets
// its name, so that there is none without its key where that was asked for.
func (m *making) extras(to string) (backup.Extras, error) {
	var passphrase []byte
	if m.passphrase != "" {
		var err error
		if passphrase, err = readPassphrase(m.passphrase); err != nil {
			return nil, err
		}
	}
	if m.keyCopy != "" {
		path, err := filepath.Abs(m.keyCopy)
		if err != nil {
			return nil, err
		}
		if below, err := filepath.Rel(to, path); err == nil && filepath.IsLocal(below) {
			return nil, shell.Usagef("--key-copy: %s is in the backup itself: the key belongs to another place", m.keyCopy)
		}
	}
	return func(key keyring.Key) (map[string][]byte, error) {
		if m.keyCopy != "" {
			if err := copyKey(key, m.keyCopy); err != nil {
				return nil, err
			}
		}
		if passphrase == nil {
			return nil, nil
		}
		wrapped, err := key.Wrap(passphrase, m.env.Rand)
		return map[string][]byte{backup.WrappedName: wrapped}, err
	}, nil
}

// copyKey writes the key to a file, unless it is there already.
func copyKey(key keyring.Key, path string) error {
	if text, err := os.ReadFile(path); err == nil {
		if there, err := keyring.ParseKey(text); err != nil || there.ID() != key.ID() {
			return shell.Usagef("--key-copy: %s is there already and is not the key of this gateway: name another file", path)
		}
		return nil
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return shell.Usagef("--key-copy: %w", err)
	}
	_, err = out.Write(key.Text())
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

func readPassphrase(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, shell.Usagef("--passphrase-file: %w", err)
	}
	passphrase := strings.TrimRight(string(text), "\r\n")
	if len(passphrase) < keyring.MinPassphrase {
		return nil, shell.Usagef("--passphrase-file: a passphrase has at least %d bytes", keyring.MinPassphrase)
	}
	return []byte(passphrase), nil
}

// made is what is told of a backup.
type made struct {
	Backup   string `json:"backup"`
	Position uint64 `json:"position"`
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`
	New      int64  `json:"new_bytes"` // the rest was there
	Key      string `json:"key_id"`
}

func (m *making) tell(to string, got backup.Received) error {
	b := got.Manifest
	told := made{Backup: to, Position: uint64(b.Position), Files: len(b.Files), Bytes: b.Bytes(), New: got.Sent, Key: b.Key}
	if !strings.HasSuffix(to, ".tar") {
		told.Backup = filepath.Join(to, backup.NameOf(b.Time))
	}
	for _, path := range b.Elsewhere {
		fmt.Fprintf(m.env.Stderr, "Not in the backup, because it stands elsewhere: %s\n", output.Clean(path))
	}
	for _, path := range b.LeftOut {
		fmt.Fprintf(m.env.Stderr, "penstock: warning: not in the backup, because it is larger than %s: %s\n", output.Bytes(backup.MaxSealed), output.Clean(path))
	}
	switch {
	case m.passphrase != "":
		fmt.Fprintln(m.env.Stderr, "The key-encryption key is in the backup, wrapped: without its passphrase nobody can read it.")
	case m.keyCopy != "":
		fmt.Fprintf(m.env.Stderr, "The key-encryption key is in %s: bring it to another place than the backup. Without it nobody can read the backup.\n", m.keyCopy)
	default:
		fmt.Fprintf(m.env.Stderr, "penstock: warning: THE KEY-ENCRYPTION KEY %s IS NOT IN THE BACKUP. WITHOUT IT NOBODY CAN EVER READ THE BACKUP: see --key-copy.\n", b.Key)
	}
	if m.asJSON {
		return output.JSON(m.env.Stdout, told)
	}
	_, err := fmt.Fprintf(m.env.Stdout, "%s: through position %d, %s, %s, %s of them new\n", told.Backup, told.Position, output.Count(told.Files, "file"), output.Bytes(told.Bytes), output.Bytes(told.New))
	return err
}
