// An OPC UA server: node server.js PORT DIRECTORY. It says "ready" when it
// listens, does what stands on its standard input, a command a line, and says "ok".
//
//   set NAME VALUE MILLISECONDS   a value with its source timestamp
//   bad NAME MILLISECONDS         a bad sensor
'use strict'
const path = require('path')
const readline = require('readline')
const { OPCUAServer, OPCUACertificateManager, DataType, StatusCodes, Variant, VariantArrayType, standardUnits } = require('node-opcua')

async function main () {
  const [port, directory] = [Number(process.argv[2]), process.argv[3]]
  const manager = (name) => new OPCUACertificateManager({ rootFolder: path.join(directory, name), automaticallyAcceptUnknownCertificate: true })
  const server = new OPCUAServer({
    port,
    hostname: '127.0.0.1',
    serverCertificateManager: manager('server'),
    userCertificateManager: manager('users'),
    userManager: { isValidUser: (user, password) => user === 'gateway' && password === 'open sesame' },
    allowAnonymous: true
  })
  await server.initialize()
  const space = server.engine.addressSpace
  const own = space.getOwnNamespace()
  const pump = own.addObject({ organizedBy: space.rootFolder.objects, browseName: 'Pump17', nodeId: 's=Pump17' })
  const drive = own.addObject({ componentOf: pump, browseName: 'Drive', nodeId: 's=Drive' })
  const flow = own.addAnalogDataItem({
    componentOf: pump, browseName: 'Flow', nodeId: 's=Flow', dataType: 'Double', engineeringUnitsRange: { low: 0, high: 100 },
    engineeringUnits: standardUnits.bar
  })
  const running = own.addVariable({ componentOf: drive, browseName: 'Running', nodeId: 's=Running', dataType: 'Boolean' })
  const words = own.addVariable({ componentOf: drive, browseName: 'Words', nodeId: 's=Words', dataType: 'UInt16', valueRank: 1 })
  const at = new Date(1700000000000)
  flow.setValueFromSource({ dataType: DataType.Double, value: 0 }, StatusCodes.Good, at)
  running.setValueFromSource({ dataType: DataType.Boolean, value: true }, StatusCodes.Good, at)
  words.setValueFromSource(new Variant({ dataType: DataType.UInt16, arrayType: VariantArrayType.Array, value: new Uint16Array([7, 8, 9]) }), StatusCodes.Good, at)
  await server.start()
  console.log('ready')
  const nodes = { Flow: flow }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, name, ...rest] = line.split(' ')
    if (command === 'set') {
      nodes[name].setValueFromSource({ dataType: DataType.Double, value: Number(rest[0]) }, StatusCodes.Good, new Date(Number(rest[1])))
    } else {
      nodes[name].setValueFromSource({ dataType: DataType.Double, value: 0 }, StatusCodes.BadSensorFailure, new Date(Number(rest[0])))
    }
    await new Promise((resolve) => setTimeout(resolve, 150)) // three times the shortest sampling of this server: each change is seen
    console.log('ok')
  }
  await server.shutdown()
}

main().catch((err) => { console.error(err); process.exit(1) })
