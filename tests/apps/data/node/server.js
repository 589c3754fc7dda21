// A small HTTP server: /hello answers a constant, /digest the SHA-256 of the body.
'use strict';
const crypto = require('crypto');
const http = require('http');

const server = http.createServer((request, response) => {
  if (request.url !== '/digest') {
    response.end('hello from node\n');
    return;
  }
  const hash = crypto.createHash('sha256');
  request.on('data', (block) => hash.update(block));
  request.on('end', () => response.end(hash.digest('hex') + '\n'));
});
server.listen(Number(process.argv[2]), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
