package amqp

import "github.com/penstock/penstock"

// Refusals returns why each report can never be a message of the configuration, nil
// where it can.
func Refusals(c Config, rs []*penstock.Report) ([]error, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	why := make([]error, len(rs))
	for i, r := range rs {
		if _, why[i] = s.routingKey(r); why[i] == nil {
			_, why[i] = s.message(r)
		}
	}
	return why, nil
}
