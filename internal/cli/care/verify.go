package care

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/backup"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/keyring"
)

// unlocking says where the key of a backup is.
type unlocking struct {
	key, passphrase string // files
}

func (u *unlocking) register(flags *pflag.FlagSet) {
	flags.StringVar(&u.key, "key", "", "`FILE` of the key-encryption key, as --key-copy wrote it")
	flags.StringVar(&u.passphrase, "passphrase-file", "", "`FILE` of the passphrase that the key in the backup is wrapped with")
}

func (u *unlocking) given() bool { return u.key != "" || u.passphrase != "" }

// find returns the key.
func (u *unlocking) find(id string, wrapped []byte) (keyring.Key, error) {
	if u.key != "" {
		text, err := os.ReadFile(u.key)
		if err != nil {
			return keyring.Key{}, shell.Usagef("--key: %w", err)
		}
		return keyring.ParseKey(text)
	}
	if u.passphrase == "" {
		return keyring.Key{}, shell.Usagef("the backup opens with the key-encryption key %s only: give it with --key FILE, or with --passphrase-file FILE where it is in the backup", id)
	}
	passphrase, err := readPassphrase(u.passphrase)
	if err != nil {
		return keyring.Key{}, err
	}
	if wrapped == nil {
		return keyring.Key{}, shell.Usagef("the backup holds no wrapped key: it opens with the key-encryption key %s, --key FILE", id)
	}
	return keyring.Unwrap(wrapped, passphrase)
}

// locate returns a backup that was named by its own directory, by that of many, of
// which the newest counts, or by its archive.
func locate(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", shell.Usagef("%w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	if _, err := os.Stat(filepath.Join(path, backup.ManifestName)); err == nil {
		return path, nil
	}
	folder := backup.OpenFolder(backup.Disk(), path)
	names, err := folder.List()
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", shell.Usagef("%s is no backup, and holds none: one that was cut off is none", path)
	}
	return folder.Path(names[len(names)-1]), nil
}

func newBackupVerify(env shell.Env) *cobra.Command {
	var unlock unlocking
	var scratch string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify DIR|FILE.tar",
		Short: "Read every byte of a backup and say what is damaged",
		Long: `Read every byte of a backup and hold it against its manifest. With the key, also
open every frame of the log, every value of the store and all that was sealed. Of a
directory of many backups the newest is meant.

The exit code is 6 when anything is not as it was written.`,
		Example: "  penstock backup verify /mnt/backup/north\n  penstock backup verify north.tar --key /media/safe/north.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			path, err := locate(args[0])
			if err != nil {
				return err
			}
			dir, clean, err := unpacked(path, scratch)
			if err != nil {
				return damagedArchive(err)
			}
			defer func() { err = errors.Join(err, clean()) }()
			v, err := verify(dir, unlock)
			if err != nil {
				return err
			}
			return tellVerified(env, path, v, asJSON)
		},
	}
	unlock.register(cmd.Flags())
	cmd.Flags().StringVar(&scratch, "scratch", "", "`DIR` in which an archive is unpacked (default: that of the archive)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// damagedArchive gives an error of unpacking its exit code.
func damagedArchive(err error) error {
	if penstock.CodeOf(err) == penstock.Corrupt {
		return shell.Exit(shell.ExitDamaged, err)
	}
	return err
}

// unpacked returns the directory of a backup, and what takes away what was made for
// that.
func unpacked(path, scratch string) (dir string, clean func() error, err error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return path, func() error { return nil }, err
	}
	if dir, err = os.MkdirTemp(shell.First(scratch, filepath.Dir(path)), ".penstock-verify-"); err != nil {
		return "", nil, err
	}
	clean = func() error { return os.RemoveAll(dir) }
	if err := backup.Unpack(backup.Disk(), path, dir); err != nil {
		return "", nil, errors.Join(err, clean())
	}
	return dir, clean, nil
}

func verify(dir string, unlock unlocking) (backup.Verified, error) {
	v, err := backup.Verify(backup.Disk(), dir, nil)
	if err != nil || len(v.Damage) > 0 || !unlock.given() {
		return v, err
	}
	wrapped, err := os.ReadFile(filepath.Join(dir, backup.WrappedName))
	if err != nil && !os.IsNotExist(err) {
		return v, err
	}
	key, err := unlock.find(v.Manifest.Key, wrapped)
	if err != nil {
		return v, err
	}
	return backup.Verify(backup.Disk(), dir, &key)
}

func tellVerified(env shell.Env, path string, v backup.Verified, asJSON bool) error {
	if asJSON {
		if err := output.JSON(env.Stdout, v); err != nil {
			return err
		}
	} else if err := printVerified(env, path, v); err != nil {
		return err
	}
	if len(v.Damage) > 0 {
		return shell.Exit(shell.ExitDamaged, fmt.Errorf("%s of the backup %s damaged: make another, or restore an older one", output.Count(len(v.Damage), "file"), isAre(len(v.Damage))))
	}
	return nil
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func printVerified(env shell.Env, path string, v backup.Verified) error {
	for _, d := range v.Damage {
		if _, err := fmt.Fprintf(env.Stdout, "%s: %s\n", output.Clean(d.Path), output.Clean(d.What)); err != nil {
			return err
		}
	}
	for _, note := range v.Notes {
		fmt.Fprintf(env.Stderr, "note: %s\n", output.Clean(note))
	}
	if len(v.Damage) > 0 {
		return nil
	}
	opened := "not opened, for want of the key"
	if v.Opened {
		opened = fmt.Sprintf("opened: %d frames with %d entries, %d values", v.Frames, v.Entries, v.Values)
	}
	_, err := fmt.Fprintf(env.Stdout, "%s is whole: node %s, %s, through position %d, %s, %s; %s\n", path, v.Manifest.Node,
		v.Manifest.Time.Format("2006-01-02T15:04:05Z"), v.Manifest.Position, output.Count(v.Files, "file"), output.Bytes(v.Bytes), opened)
	return err
}
