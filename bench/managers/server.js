// The same program under both managers: it answers with its process number. At
// its end it tells callers to open another connection, and then ends.
'use strict';
const http = require('http');

let leaving = false;
const server = http.createServer((request, response) => {
  if (leaving) response.setHeader('Connection', 'close');
  response.end(String(process.pid));
});
server.keepAliveTimeout = 60000;
server.listen(process.env.LISTEN_FDS ? { fd: 3 } : { port: Number(process.env.PORT), host: '127.0.0.1' });

const leave = () => {
  if (leaving) return;
  leaving = true;
  setTimeout(() => server.close(() => process.exit(0)), 500);
};
process.on('SIGTERM', leave);
process.on('SIGINT', leave);
