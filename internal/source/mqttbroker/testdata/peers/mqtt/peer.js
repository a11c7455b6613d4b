// Publishes reports with QoS 1 and 2 over a connection that is cut and comes
// back, reads them back from a subscription, and prints what became of each.
const mqtt = require('mqtt')
const [url, version, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]

const client = mqtt.connect(url, {
  protocolVersion: version, clientId: 'peer', clean: false, username: 'peer', password: 'secret',
  reconnectPeriod: 50, keepalive: 5, properties: version === 5 ? { sessionExpiryInterval: 60 } : undefined,
  will: { topic: 'reports/peer', payload: '{}', qos: 1 }
})
const seen = new Set()
let acknowledged = 0
let failed = null

function finish () {
  if (acknowledged < count || seen.size < count) return
  console.log(JSON.stringify({ acknowledged, seen: seen.size, failed }))
  client.end(false, () => process.exit(0))
}

client.on('message', (topic, payload) => {
  seen.add(JSON.parse(payload).seq)
  finish()
})
client.on('error', (err) => { failed = err.message })
client.once('connect', () => {
  client.subscribe('reports/+', { qos: 1 }, (err) => {
    if (err) throw err
    for (let seq = 1; seq <= count; seq++) {
      const report = { controller: 'peer', epoch: 1, seq, samples: [{ point: 'flow', time: 1700000000000000000 + seq, value: seq }] }
      client.publish('reports/peer', JSON.stringify(report), { qos: 1 + seq % 2 }, (err) => {
        if (err) failed = err.message
        acknowledged++
        finish()
      })
      if (seq === count / 2) client.stream.destroy()
    }
  })
})
setTimeout(() => { console.log(JSON.stringify({ acknowledged, seen: seen.size, failed: 'too late' })); process.exit(1) }, 20000)
