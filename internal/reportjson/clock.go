package reportjson

import "strconv"

const (
	secondsPerDay = 24 * 60 * 60
	nanosPerSec   = 1_000_000_000
)

// parseTime reads a time as RFC 3339 writes it ("2026-11-22T06:00:00.5+01:00",
// at most nine decimals) or as nanoseconds since 1970 UTC in digits. It returns
// nanoseconds since 1970 UTC, or a sentence that says why it cannot.
func parseTime(b []byte) (nanos int64, why string) {
	if len(b) < len("2006-01-02T15:04:05Z") || b[4] != '-' {
		n, err := strconv.ParseInt(string(b), 10, 64)
		if err != nil || b[0] == '+' {
			return 0, "a time is like 2026-11-22T06:00:00.123456789Z, or nanoseconds since 1970"
		}
		return n, ""
	}
	seconds, why := parseSeconds(b)
	if why != "" {
		return 0, why
	}
	fraction, rest, why := parseFraction(b[19:])
	if why != "" {
		return 0, why
	}
	offset, why := parseOffset(rest)
	if why != "" {
		return 0, why
	}
	return joinNanos(seconds-int64(offset), int64(fraction))
}

// parseSeconds reads a date and a time of day, as far as the whole second.
func parseSeconds(b []byte) (seconds int64, why string) {
	year, month, day := two(b, 0)*100+two(b, 2), two(b, 5), two(b, 8)
	hour, minute, second := two(b, 11), two(b, 14), two(b, 17)
	switch {
	case min(year, month, day, hour, minute, second) < 0, b[7] != '-', b[10] != 'T', b[13] != ':', b[16] != ':':
		return 0, "a time is like 2026-11-22T06:00:00.123456789Z"
	case month < 1, month > 12, day < 1, day > daysIn(year, month):
		return 0, "there is no such day"
	case hour > 23, minute > 59, second > 59:
		return 0, "there is no such time of day (leap seconds have no place in nanoseconds since 1970)"
	}
	return int64(days(year, month, day))*secondsPerDay + int64(hour*3600+minute*60+second), ""
}

// joinNanos returns seconds and a fraction as nanoseconds. Both bounds of an
// int64 can be reached.
func joinNanos(seconds, fraction int64) (nanos int64, why string) {
	const limit = 9_223_372_036 // whole seconds that fit
	switch {
	case seconds > limit || seconds < -limit-1,
		seconds == limit && fraction > 854_775_807,
		seconds == -limit-1 && fraction < 145_224_192:
		return 0, "the time is outside the years 1677 to 2262, which nanoseconds since 1970 can count"
	case seconds < 0:
		return (seconds+1)*nanosPerSec + fraction - nanosPerSec, ""
	}
	return seconds*nanosPerSec + fraction, ""
}

// parseFraction reads the decimals of the second, if there are any.
func parseFraction(b []byte) (nanos int, rest []byte, why string) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b, ""
	}
	n := 1
	for ; n < len(b) && b[n] >= '0' && b[n] <= '9'; n++ {
		if n > 9 {
			return 0, nil, "a time has at most nine decimals"
		}
		nanos = nanos*10 + int(b[n]-'0')
	}
	if n == 1 {
		return 0, nil, "a digit is due after the decimal point of the time"
	}
	for i := n; i <= 9; i++ {
		nanos *= 10
	}
	return nanos, b[n:], ""
}

// parseOffset reads the distance from UTC, in seconds.
func parseOffset(b []byte) (seconds int, why string) {
	if len(b) == 1 && b[0] == 'Z' {
		return 0, ""
	}
	if len(b) != len("+01:00") || b[0] != '+' && b[0] != '-' || b[3] != ':' {
		return 0, "a time ends with Z or with its distance from UTC, like +01:00"
	}
	hours, minutes := two(b, 1), two(b, 4)
	if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 {
		return 0, "the distance from UTC is at most 23:59"
	}
	seconds = hours*3600 + minutes*60
	if b[0] == '-' {
		seconds = -seconds
	}
	return seconds, ""
}

// two returns the number of the two digits at i, a large negative one when they
// are none.
func two(b []byte, i int) int {
	tens, ones := b[i]-'0', b[i+1]-'0'
	if tens > 9 || ones > 9 {
		return -1 << 16
	}
	return int(tens)*10 + int(ones)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// days counts the days from 1970-01-01 to a date of the Gregorian calendar. It
// counts in years that begin in March, so that the leap day is the last.
func days(year, month, day int) int {
	month -= 3
	if month < 0 {
		month += 12
		year--
	}
	year += 400 // never negative
	era, year := year/400, year%400
	ofYear := (153*month+2)/5 + day - 1
	return era*146_097 + year*365 + year/4 - year/100 + ofYear - 719_468 - 146_097
}

// date is the inverse of days.
func date(days int) (year, month, day int) {
	days += 719_468
	era := days / 146_097
	ofEra := days % 146_097
	year = (ofEra - ofEra/1460 + ofEra/36_524 - ofEra/146_096) / 365
	ofYear := ofEra - (365*year + year/4 - year/100)
	month = (5*ofYear + 2) / 153
	day = ofYear - (153*month+2)/5 + 1
	year += era * 400
	if month += 3; month > 12 {
		return year + 1, month - 12, day
	}
	return year, month, day
}
