package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/reportjson"
)

// Decode tells what the gateway of a configuration would make of a payload: it
// calls each with every part, in order. Its error is one of the configuration, or
// of each.
type Decode func(from config.Sources, p Payload, each func(Decoded) error) error

// Payload is a payload to decode, by a mapping or as the stream of a source.
type Payload struct {
	Mapping  string
	Source   string
	Envelope penstock.Envelope
}

// Decoded is what became of a part of a payload: a report, or an error.
type Decoded struct {
	Report  *penstock.Report
	Signals []string // what it tells of the link, such as "rssi -71 dBm"
	Err     error
	Part    []byte // that could not be read
}

// maxPayload bounds what is decoded at once.
const maxPayload = 64 << 20

func newDecode(env shell.Env, decode Decode) *cobra.Command {
	var from shell.Settings
	var p Payload
	var isHex bool
	var properties []string
	cmd := &cobra.Command{
		Use:   "decode [FILE|-]",
		Short: "Show what a declared mapping makes of a payload",
		Long: `Show what a declared mapping makes of a payload, from a file or from standard
input, without a gateway: the reports as NDJSON on standard output, and what they
tell of the link and what cannot be read on standard error.

With --source the input is what came over the line of a source that takes frames;
its framing is tried too. The exit code is 5 when something could not be read.`,
		Example: `  penstock decode -c penstock.yaml --mapping chirpstack uplink.json
  echo 68 03 03 68 08 01 72 | penstock decode -c penstock.yaml --mapping meter --hex
  penstock decode -c penstock.yaml --source line-3 capture.bin`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if (p.Mapping == "") == (p.Source == "") {
				return shell.Usagef("--mapping names what decodes the payload, or --source where it came from")
			}
			body, err := readPayload(env, args, isHex)
			if err != nil {
				return err
			}
			p.Envelope.Body, p.Envelope.Properties = body, penstock.Properties{}
			for _, property := range properties {
				name, value, ok := strings.Cut(property, "=")
				if !ok {
					return shell.Usagef("--property %q is not of the form NAME=VALUE", property)
				}
				p.Envelope.Properties[name] = value
			}
			return showDecoded(env, decode, from.Sources(env), p)
		},
	}
	flags := cmd.Flags()
	from.Register(flags)
	flags.StringVar(&p.Mapping, "mapping", "", "`NAME` of the mapping")
	flags.StringVar(&p.Source, "source", "", "`NAME` of a source that takes frames: the input is its stream")
	flags.BoolVar(&isHex, "hex", false, "the input is written in hexadecimal digits, spaces apart or not")
	flags.StringVar(&p.Envelope.Topic, "topic", "", "`TOPIC` that the payload came under")
	flags.StringVar(&p.Envelope.Peer, "peer", "", "`ADDRESS` that it came from")
	flags.StringVar(&p.Envelope.Credential.User, "user", "", "`NAME` of who sent it")
	flags.StringArrayVar(&properties, "property", nil, "`NAME=VALUE` that came beside it; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("mapping", "source")
	return cmd
}

func readPayload(env shell.Env, args []string, isHex bool) ([]byte, error) {
	input := env.Stdin
	if len(args) == 1 && args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return nil, shell.Usagef("%w", err)
		}
		defer file.Close() // it was only read
		input = file
	}
	body, err := io.ReadAll(io.LimitReader(input, maxPayload+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxPayload {
		return nil, shell.Usagef("the payload has more than %d bytes", maxPayload)
	}
	if !isHex {
		return body, nil
	}
	body, err = hex.DecodeString(strings.Join(strings.Fields(string(body)), ""))
	if err != nil {
		return nil, shell.Usagef("the input is not hexadecimal: %w", err)
	}
	return body, nil
}

// showDecoded prints what became of the payload. The error says that something
// could not be read.
func showDecoded(env shell.Env, decode Decode, from config.Sources, p Payload) error {
	bad := 0
	err := decode(from, p, func(d Decoded) error {
		if d.Err != nil {
			bad++
			_, err := fmt.Fprintf(env.Stderr, "penstock: %s%s\n", output.Clean(d.Err.Error()), shownPart(d.Part))
			return err
		}
		line, err := reportjson.AppendReport(nil, d.Report)
		if err != nil {
			return err
		}
		if _, err := env.Stdout.Write(append(line, '\n')); err != nil {
			return err
		}
		for _, s := range d.Signals {
			if _, err := fmt.Fprintf(env.Stderr, "penstock: %s: %s\n", output.Clean(d.Report.Controller), s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || bad == 0 {
		return err
	}
	return shell.Exit(shell.ExitRefused, fmt.Errorf("%s could not be read", output.Count(bad, "part")))
}

// shownPart returns the first bytes of what could not be read.
func shownPart(part []byte) string {
	const most = 32
	switch {
	case len(part) == 0:
		return ""
	case len(part) > most:
		return fmt.Sprintf(": % x … (%d bytes)", part[:most], len(part))
	}
	return fmt.Sprintf(": % x", part)
}
