// A Modbus TCP server of the package modbus-serial: "node server.js PORT", with
// the package's folder in NODE_PATH. It ends with its standard input.
const { ServerTCP } = require("modbus-serial");

const vector = {
  getCoil: (address) => address % 3 === 0,
  getDiscreteInput: (address) => address % 5 === 0,
  getHoldingRegister: (address) => {
    if (address >= 500) throw { modbusErrorCode: 2, msg: "illegal address" };
    return address;
  },
  getInputRegister: (address) => 10000 + address,
};
const server = new ServerTCP(vector, { host: "127.0.0.1", port: Number(process.argv[2]), debug: false, unitID: 7 });
server.on("initialized", () => console.log("ready"));
server.on("socketError", () => {});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
