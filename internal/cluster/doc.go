// Package cluster runs several gateways that share one PostgreSQL as their record, as
// real processes, and lets happen to them what can: a gateway is killed, lost for ever
// with its disk, or comes back with an old copy of it; the database stands still, or
// fails over to a copy that lacks its last transactions. A simulated fleet sends to
// whichever gateway it likes meanwhile, another one for each try, or to an HAProxy before
// them, behind which gateways are upgraded one after the other besides. The gateways poll
// devices that all of them reach. At the end nothing may be lost or doubled.
//
// It is for tests.
package cluster
