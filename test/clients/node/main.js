// Carries out cases with amqplib; see ../README.md.
const readline = require('node:readline');
const { Session } = require('./session');

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function tell(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function ask(what) {
  tell({ ask: what });
  await lines.next();
}

async function main() {
  const job = JSON.parse((await lines.next()).value);
  for (const [number, steps] of job.cases.entries()) {
    const session = new Session(job.uri, ask);
    const results = await session.carryOut(steps);
    await session.end();
    tell({ case: number, results });
  }
  process.stdin.destroy();
}

main();
