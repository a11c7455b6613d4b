package diagnose

// advised is what to do about a cause: the next check, and who.
type advised struct{ next, send string }

// adviceOf says what to do about a cause in an extent, or wherever it is.
//
//lint:table
var adviceOf = map[Cause]map[Of]advised{
	Physical: {
		OfLine:       {"measure the line: screen, terminators, cables laid beside mains; 'penstock links --bad' shows the damaged frames", "an electrician"},
		OfSite:       {"look at the site's aerial, its cable and its supply; compare the signal at both ends", "a radio technician"},
		OfController: {"look at plug, cable and aerial of this controller; 'penstock links --bad' shows damaged frames", "a technician with a meter"},
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

// advice returns the next check of a verdict and whom to send.
func advice(v *Verdict) (next, send string) {
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
	return "look at both, the more likely first"
}
