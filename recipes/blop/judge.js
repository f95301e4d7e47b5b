// Reads a JSON list of Blop programs from standard input and writes a JSON list of verdicts:
// "" for a program that the compiler accepts, else its message. Needs the npm package
// blop-language (NODE_PATH=... node recipes/blop/judge.js); run it where no blop.config.js is
// found, so that the compiler keeps to its defaults.
const { compileSource } = require('blop-language/src/compile');

function verdict(source) {
  try {
    compileSource(source, 'node', 'program.blop');
    return '';
  } catch (error) {
    return String(error.message || error) || 'refused';
  }
}

const sources = JSON.parse(require('fs').readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(sources.map(verdict)));
