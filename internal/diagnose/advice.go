package diagnose

// advised is what to do about a cause: the next check, and who.
type advised struct{ next, send string }

// adviceOf says what to do about a cause in an extent, or wherever it is.
//
//lint:table
var adviceOf = map[Cause]map[Of]advised{
	Physical: {
		OfLine:       {"from here: look at the damaged frames ('penstock links --bad', or a controller's page); there: measure the line, look at screen, terminators and cables laid beside mains", "an electrician"},
		OfSite:       {"from here: compare the signal at both ends, and see whether it fell at once or crept; there: look at the aerial, its cable and its supply", "a radio technician"},
		OfController: {"from here: look at its damaged frames ('penstock links --bad', or its page); there: look at its plug, cable and aerial", "a technician with a meter"},
	},
	Controller: {OfController: {"look at the controller: its program, its load, its clock and its supply; read its own log", "whoever keeps the controller's program"}},
	Network: {
		OfSite:   {"reach the site's router or modem; ask the carrier for faults there; look whether the site has power", "the network's people or the carrier"},
		OfSource: {"reach the far end from this machine; look at switch, firewall and broker on the way", "the network's people"},
	},
	Gateway:       {OfNode: {"look at the load, the memory and the disk of this machine, and at the gateway's log", "whoever runs the gateway"}},
	Store:         {OfNode: {"look at the disk or the database that the record stands on: full, slow, or gone; nothing that was accepted is lost meanwhile", "whoever runs the store"}},
	Configuration: {OfController: {"hold what is declared of the controller against what it sends: 'penstock ledger' names the reasons", "whoever configured the gateway"}},
}

// fallback is what to do where the extent makes no difference.
//
//lint:table
var fallback = map[Cause]advised{
	Physical:      {"look at what carries the signal to the controllers that are in trouble", "a technician with a meter"},
	Controller:    {"look at the controllers: program, load, clock and supply", "whoever keeps the controllers' programs"},
	Network:       {"look at what carries the frames between the controllers and this machine", "the network's people"},
	Gateway:       {"look at this machine and the gateway's log", "whoever runs the gateway"},
	Store:         {"look at what the record stands on", "whoever runs the store"},
	Configuration: {"hold the gateway's configuration against the plant", "whoever configured the gateway"},
}

// adviceOn says what to do where what shows tells more than the cause does.
//
//lint:table
var adviceOn = map[string]advised{
	"held":      {"look whether it is one of yours: 'penstock controllers admit NAME' lets it report", "nobody: whoever looks after the gateway decides"},
	"clock":     {"set its clock, and look where it takes its time from; the times of what it sent since are off by as much", "whoever keeps the controller's program"},
	"hangs":     {"restart it from here if that can be done; read its own log", "whoever keeps the controller's program"},
	"restarted": {"look at its supply, and read its own log: it began anew", "whoever keeps the controller's program"},
}

// advice returns the next check of a verdict and whom to send.
func advice(v *Verdict) (next, send string) {
	if a, ok := adviceOn[v.Rule]; ok && v.Cause != Unclear {
		return a.next, a.send
	}
	if v.Cause != Unclear {
		a := adviceFor(v.Cause, v.Scope.Of)
		return a.next, a.send
	}
	first, other := adviceFor(v.Between[0], v.Scope.Of), adviceFor(v.Between[1], v.Scope.Of)
	return tell(v.Between), first.send + ", or " + other.send + ": nobody before the check"
}

func adviceFor(c Cause, of Of) advised {
	if a, ok := adviceOf[c][of]; ok {
		return a
	}
	return fallback[c]
}

// tell returns the check that tells two causes apart.
func tell(between [2]Cause) string {
	has := func(a, b Cause) bool { return between == [2]Cause{a, b} || between == [2]Cause{b, a} }
	switch {
	case has(Controller, Physical):
		return "reach the modem or the port beside the controller: if it answers, the controller is at fault, otherwise the cable, the aerial or the supply"
	case has(Network, Physical):
		return "reach the last router before the site: if it answers, the last stretch is at fault, otherwise the network before it"
	case has(Network, Gateway):
		return "send a report from a machine beside the gateway: if that is taken, the network is at fault"
	case has(Configuration, Physical):
		return "compare speed, parity and checksum with what the device is set to; if they agree, measure the line"
	case has(Configuration, Controller):
		return "look whether the controller was ever told this gateway's address and credential"
	case has(Configuration, Network):
		return "look whether the address that is configured can be reached from this machine"
	}
	return "look at both, the likelier first"
}
