// Writes messages of an edge node as lines of kind and hexadecimal payload, or,
// with the argument "decode", reads one payload in hexadecimal and writes JSON.
'use strict'
const payloads = require('sparkplug-payload').get('spBv1.0')

if (process.argv[2] === 'decode') {
  const decoded = payloads.decodePayload(Buffer.from(process.argv[3], 'hex'))
  console.log(JSON.stringify(decoded, (_, v) => (v && v.toNumber ? v.toNumber() : v)))
  process.exit()
}

const noon = 1780315200000
const write = (kind, payload) => console.log(kind, Buffer.from(payloads.encodePayload(payload)).toString('hex'))
const good = { Quality: { type: 'Int32', value: 192 } }

write('NBIRTH', {
  timestamp: noon,
  seq: 0,
  metrics: [
    { name: 'bdSeq', type: 'UInt64', value: 7 },
    { name: 'Node Control/Rebirth', type: 'Boolean', value: false },
    { name: 'int8', type: 'Int8', value: -5, timestamp: noon },
    { name: 'int16', type: 'Int16', value: -1234, timestamp: noon },
    { name: 'int32', type: 'Int32', value: -70000, timestamp: noon },
    { name: 'int64', type: 'Int64', value: -7, timestamp: noon },
    { name: 'uint8', type: 'UInt8', value: 250, timestamp: noon },
    { name: 'uint16', type: 'UInt16', value: 65000, timestamp: noon },
    { name: 'uint32', type: 'UInt32', value: 7, timestamp: noon },
    { name: 'uint64', type: 'UInt64', value: 8, timestamp: noon },
    { name: 'float', type: 'Float', value: 1.5, timestamp: noon, alias: 1, properties: good },
    { name: 'double', type: 'Double', value: 0.1, timestamp: noon },
    { name: 'bool', type: 'Boolean', value: true, timestamp: noon },
    { name: 'text', type: 'String', value: 'grün', timestamp: noon },
    { name: 'clock', type: 'DateTime', value: noon, timestamp: noon },
    { name: 'null', type: 'Float', value: null, timestamp: noon },
    { name: 'table', type: 'DataSet', value: { numOfColumns: 1, types: ['Int32'], columns: ['a'], rows: [[1]] }, timestamp: noon }
  ]
})
write('NDATA', {
  timestamp: noon + 1000,
  seq: 1,
  metrics: [
    { alias: 1, type: 'Float', value: 2.5, timestamp: noon + 1000, properties: { Quality: { type: 'Int32', value: 500 } } },
    { alias: 1, type: 'Float', value: 2.25, timestamp: noon + 500, isHistorical: true }
  ]
})
write('NDEATH', { timestamp: noon, metrics: [{ name: 'bdSeq', type: 'UInt64', value: 7 }] })
