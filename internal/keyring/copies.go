package keyring

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/penstock/penstock"
)

// copies are the two copies of a keyring as they were found.
type copies struct {
	raw  [len(copyNames)][]byte
	err  [len(copyNames)]error // why a copy could not be read or opened
	best int                   // the copy that counts
	old  [len(copyNames)]bool  // a whole copy of an earlier generation
}

func (c copies) missing() bool {
	for _, err := range c.err {
		if !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

func (o opener) readCopies() copies {
	var c copies
	for i, name := range copyNames {
		c.raw[i], c.err[i] = readFile(o.fs, o.fs.PathJoin(o.dir, name))
	}
	return c
}

// load opens the copy that counts: the whole one of the highest generation.
func (o opener) load(c *copies) (*Keyring, error) {
	kek, err := o.readKEK()
	if err != nil {
		return nil, err
	}
	return o.loadUnder(c, kek)
}

func (o opener) loadUnder(c *copies, kek kek) (_ *Keyring, err error) {
	var found [len(copyNames)]contents
	c.best = -1
	for i, name := range copyNames {
		if c.err[i] != nil {
			continue
		}
		found[i], err = decode(c.raw[i], kek)
		if err == nil {
			if c.best < 0 || found[i].generation > found[c.best].generation {
				c.best = i
			}
			continue
		}
		c.err[i] = penstock.Errorf(penstock.CodeOf(err), "%s: %w", o.fs.PathJoin(o.dir, name), err)
		if penstock.CodeOf(err) == penstock.Unsupported {
			return nil, c.err[i]
		}
	}
	if c.best < 0 {
		worst := errors.Join(c.err[:]...)
		return nil, penstock.Errorf(penstock.CodeOf(worst), "the keyring cannot be opened, and nothing was changed: %w", worst)
	}
	best := found[c.best]
	k := &Keyring{node: best.node, keys: best.keys, rand: o.rand}
	for i, name := range copyNames {
		c.old[i] = c.err[i] == nil && found[i].generation < best.generation
		switch {
		case c.old[i]:
			k.notes = append(k.notes, fmt.Sprintf("%s is older than the other copy", o.fs.PathJoin(o.dir, name)))
		case c.err[i] != nil:
			k.notes = append(k.notes, c.err[i].Error())
		}
	}
	return k, nil
}

// repair writes the copies that do not count anew from the one that does. What
// could not be read for an error of the disk stays as it is.
func (o opener) repair(c copies) error {
	for i, name := range copyNames {
		gone := errors.Is(c.err[i], fs.ErrNotExist)
		damaged := c.err[i] != nil && c.raw[i] != nil
		if !gone && !damaged && !c.old[i] {
			continue
		}
		if damaged {
			if err := o.keepAside(name); err != nil {
				return err
			}
		}
		if err := writeFile(o.fs, o.dir, name, c.raw[c.best]); err != nil {
			return err
		}
	}
	return nil
}

// keepAside gives a damaged copy a second name, so that writing it anew does
// not delete it.
func (o opener) keepAside(name string) error {
	path := o.fs.PathJoin(o.dir, name)
	for n := 1; ; n++ {
		err := o.fs.Link(path, fmt.Sprintf("%s.damaged-%d", path, n))
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) || n == maxAside {
			return penstock.Errorf(penstock.Unavailable, "keep the damaged %s aside: %w", path, err)
		}
	}
}

// maxAside is how many damaged copies are kept before a person must look.
const maxAside = 100
