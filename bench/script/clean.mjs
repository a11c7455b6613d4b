export function onReport(report) {
  for (let i = 0; i < report.samples.length; i += 3) {
    const s = report.samples[i]
    if (s.unit === 'L/s') {
      s.value *= 3.6
      s.unit = 'm3/h'
    }
  }
}
