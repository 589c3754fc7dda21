// What Node asks of a kernel in one process tree: its thread pool, worker threads, children, files and compiled code.
'use strict';
const assert = require('assert');
const { execFileSync, spawn, fork } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { Worker, isMainThread, workerData } = require('worker_threads');

function countInShared(shared) {
  const cell = new Int32Array(shared);
  for (let i = 0; i < 20000; i++) Atomics.add(cell, 0, 1);
  Atomics.add(cell, 1, 1);
  Atomics.notify(cell, 1);
}

async function workers() {
  const shared = new SharedArrayBuffer(8);
  const started = [1, 2, 3, 4].map(() => new Worker(__filename, { workerData: shared }));
  await Promise.all(started.map((worker) => new Promise((resolve) => worker.on('exit', resolve))));
  console.log('workers counted', new Int32Array(shared)[0]);
}

async function children() {
  console.log('child says', execFileSync('sh', ['-c', 'echo $((6 * 7))']).toString().trim());
  const sort = spawn('sort', ['-n']);
  let sorted = '';
  sort.stdout.on('data', (data) => (sorted += data));
  sort.stdin.end('3\n1\n2\n');
  await new Promise((resolve) => sort.on('close', resolve));
  console.log('sorted', sorted.trim().split('\n').join(' '));
  const other = fork(__filename, ['echo']);
  const reply = await new Promise((resolve) => {
    other.on('message', resolve);
    other.send({ question: [1, 2, 3] });
  });
  console.log('forked node says', JSON.stringify(reply));
  const killed = spawn('sleep', ['60']);
  killed.kill('SIGKILL');
  console.log('killed by', await new Promise((resolve) => killed.on('exit', (code, signal) => resolve(signal))));
}

async function files() {
  const folder = fs.mkdtempSync(path.join(process.env.TMPDIR, 'node-'));
  await Promise.all([...Array(50).keys()].map((n) => fs.promises.writeFile(path.join(folder, `f${n}`), `${n}`.repeat(n))));
  const sizes = await Promise.all(fs.readdirSync(folder).map(async (name) => (await fs.promises.stat(path.join(folder, name))).size));
  console.log('files', sizes.length, sizes.reduce((a, b) => a + b));
  const watched = new Promise((resolve) => {
    const watcher = fs.watch(folder, (event, name) => {
      watcher.close();
      resolve(name);
    });
  });
  fs.appendFileSync(path.join(folder, 'f7'), 'more');
  console.log('watched', await watched);
  fs.rmSync(folder, { recursive: true });
}

async function compiled() {
  const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97,
    100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
  const { instance } = await WebAssembly.instantiate(wasm);
  let sum = 0;
  for (let i = 0; i < 200000; i++) sum = instance.exports.add(sum, i & 7);
  console.log('wasm', sum);
  const key = crypto.scryptSync('password', 'salt', 32, { N: 1024 });
  console.log('scrypt', key.toString('hex').slice(0, 16));
  const { publicKey, privateKey } = crypto.generateKeyPairSync('ed25519');
  console.log('signature', crypto.verify(null, key, publicKey, crypto.sign(null, key, privateKey)));
  const kept = [];
  for (let i = 0; i < 200; i++) kept[i % 20] = Buffer.alloc(1 << 20, i);
  console.log('garbage', kept[19][0]);
  try {
    (function recurse() { recurse(); })();
  } catch (error) {
    console.log(error instanceof RangeError ? 'stack overflow caught' : error);
  }
}

async function main() {
  await workers();
  await children();
  await files();
  await compiled();
  const start = process.hrtime.bigint();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert(process.hrtime.bigint() - start >= 19000000n);
  process.once('SIGUSR2', () => console.log('signal handled'));
  process.kill(process.pid, 'SIGUSR2');
  await new Promise((resolve) => setTimeout(resolve, 50));
  process.exitCode = 0;
}

if (!isMainThread) countInShared(workerData);
else if (process.argv[2] === 'echo') process.on('message', (message) => process.send({ answer: message.question }, () => process.disconnect()));
else main();
